import { diagnoses } from '@upgate/diagnosis'
import { exits, type Io, UsageError } from './io.ts'
import { createPaint } from './terminal/report.ts'

/** `upgate explain <code>`: the entry of the table. */
export function explainCommand(io: Io): number {
  const [code] = io.argv
  if (code === undefined || io.argv.length > 1)
    throw new UsageError('upgate explain needs one code, such as upgrade_lost.')
  const entry = diagnoses.find((each) => each.code === code)
  if (entry === undefined) {
    const like = diagnoses.filter((each) => each.code.includes(code.slice(0, 40))).slice(0, 8)
    const meant = like.length === 0 ? '' : ` Did you mean ${like.map((each) => each.code).join(', ')}?`
    throw new UsageError(`There is no such code.${meant}`)
  }
  const paint = createPaint(io)
  const line = (name: string, text: string): string => `${paint('bold', name)} ${text}\n`
  io.stdout.write(
    [
      `${paint('bold', entry.title)} ${paint('dim', `(${entry.layer}, ${entry.code})`)}\n`,
      line('What you see:', entry.sees),
      line('Why:', entry.cause),
      line('Next:', entry.action),
      line('Try again:', entry.retry.replaceAll('_', ' ')),
      ...entry.confusableWith.map((each) => line(`Looks like ${each.code}:`, each.probe)),
    ].join(''),
  )
  return exits.fine
}
