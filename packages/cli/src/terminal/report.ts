import { styleText } from 'node:util'
import type { Check, Report, Status } from '../doctor/check.ts'
import type { Io } from '../io.ts'

type Style = Parameters<typeof styleText>[0]

const marks: Readonly<Record<Status, readonly [string, Style]>> = {
  pass: ['PASS', 'green'],
  fail: ['FAIL', 'red'],
  skip: ['SKIP', 'dim'],
  unknown: ['?', 'yellow'],
}

/** Colours a text for a terminal; plain where the output is none, or `NO_COLOR` is set (no-color.org). */
export function createPaint(io: Pick<Io, 'env' | 'stdout'>): (style: Style, text: string) => string {
  const wanted =
    (io.env.NO_COLOR ?? '') === '' &&
    ((io.env.FORCE_COLOR ?? '0') !== '0' || (io.stdout.isTTY === true && io.env.TERM !== 'dumb'))
  return (style, text) => (wanted ? styleText(style, text, { validateStream: false }) : text)
}

/** The table of all checks, and the verdict with its action. */
export function reportText(report: Report, paint: ReturnType<typeof createPaint>): string {
  const width = Math.max(...report.checks.map(({ title }) => title.length))
  const { verdict } = report
  const bad = verdict.severity !== 'info'
  const colour = { error: 'red', warning: 'yellow', info: 'green' } as const
  return [
    `${paint('bold', report.target)}\n`,
    ...report.checks.map((check) => `${checkText(check, width, paint)}\n`),
    '\n',
    `${paint(['bold', colour[verdict.severity]], verdict.title)} ${paint('dim', `(${verdict.layer}, ${verdict.code})`)}\n`,
    ...(bad ? [`${verdict.cause}\n`] : []),
    ...verdict.evidence.slice(0, 6).map(({ name, value }) => `  ${paint('dim', `${name}:`)} ${value}\n`),
    `${paint('bold', 'Next:')} ${verdict.action}\n`,
    ...(bad && verdict.link !== undefined ? [`More: upgate explain ${verdict.code}\n`] : []),
  ].join('')
}

function checkText(
  { title, status, detail }: Check,
  width: number,
  paint: ReturnType<typeof createPaint>,
): string {
  const [word, style] = marks[status]
  return `  ${paint(style, word.padEnd(4))}  ${title.padEnd(width)}  ${status === 'fail' ? detail : paint('dim', detail)}`
}
