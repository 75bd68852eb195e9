/**
 * The programs that a Markdown file prints. A block continues the one before it, or has a beginning that is not shown,
 * where a comment above it says so:
 *
 *     <!-- example: continues -->
 *
 *     <!-- example
 *     import { createServer } from 'node:http'
 *     -->
 *
 * @typedef {object} Program
 * @property {string} file The Markdown file
 * @property {number} line Of its first block's fence, from 1
 * @property {number[]} lines Of the fences of all its blocks
 * @property {string} source Every line at the place that it has in the file, so that a compiler's lines are the file's
 */

/** Languages of blocks that are compiled. */
const compiled = new Set(['js', 'mjs', 'javascript', 'ts', 'mts', 'typescript'])
/** Languages of blocks that are no program; one that is in neither list is a mistake. */
const others = new Set([
  '',
  'caddyfile',
  'diff',
  'haproxy',
  'html',
  'http',
  'json',
  'md',
  'nginx',
  'sh',
  'sql',
  'text',
  'yaml',
])

/**
 * @param {string} file Its name, for messages
 * @param {string} text
 * @returns {{ programs: Program[], problems: string[] }}
 */
export function readPrograms(file, text) {
  const lines = text.split(/\r?\n/)
  /** @type {(Program & { shown: string[] })[]} */
  const programs = []
  /** @type {string[]} */
  const problems = []
  /** @param {number} index @param {string} message */
  const complain = (index, message) => problems.push(`${file}:${index + 1}: ${message}`)
  /** What the last comment says of the block that follows it. @type {Comment | undefined} */
  let comment
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ''
    const opened = /^\s*<!--\s*example\b(.*)$/.exec(line)
    if (opened !== null) {
      if (comment !== undefined) complain(comment.from, 'no block follows this comment.')
      comment = readComment(lines, i, opened[1] ?? '')
      if (comment.problem !== undefined) complain(i, comment.problem)
      i = comment.to
      if (!comment.ends) comment = undefined
      continue
    }
    const fence = /^(\s*)(`{3,}|~{3,})\s*([^\s`]*)/.exec(line)
    if (fence === null) {
      if (comment !== undefined && line.trim() !== '') {
        complain(comment.from, 'no block follows this comment.')
        comment = undefined
      }
      continue
    }
    const [, indent = '', marker = '', language = ''] = fence
    const end = endOf(lines, i, marker)
    if (end === undefined) {
      complain(i, 'this block has no end.')
      break
    }
    if (compiled.has(language)) {
      const previous = programs.at(-1)
      if (comment?.continues === true && previous === undefined)
        complain(i, 'there is no block before this one.')
      /** @type {Program & { shown: string[] }} */
      let program
      if (comment?.continues === true && previous !== undefined) program = previous
      else {
        program = { file, line: i + 1, lines: [], source: '', shown: lines.map(() => '') }
        programs.push(program)
      }
      program.lines.push(i + 1)
      for (let k = comment?.codeFrom ?? 0; k < (comment?.to ?? 0); k++) program.shown[k] = lines[k] ?? ''
      for (let k = i + 1; k < end; k++) {
        const shown = lines[k] ?? ''
        program.shown[k] = shown.startsWith(indent) ? shown.slice(indent.length) : shown.trimStart()
      }
    } else if (comment !== undefined) {
      complain(
        comment.from,
        `the block below is ${language === '' ? 'of no language' : language}, which is not compiled.`,
      )
    } else if (!others.has(language)) {
      complain(i, `the language ${language} is neither compiled nor known as no program.`)
    }
    comment = undefined
    i = end
  }
  if (comment !== undefined) complain(comment.from, 'no block follows this comment.')
  return {
    programs: programs.map(({ shown, ...program }) => ({
      ...program,
      source: `${shown.join('\n').trimEnd()}\n`,
    })),
    problems,
  }
}

/**
 * @typedef {{ from: number, to: number, codeFrom: number, continues: boolean, ends: boolean, problem: string | undefined }} Comment
 * @param {readonly string[]} lines
 * @param {number} from
 * @param {string} rest What the comment's first line says behind `example`
 * @returns {Comment}
 */
function readComment(lines, from, rest) {
  const oneLine = rest.includes('-->')
  const to = oneLine ? from : lines.findIndex((line, k) => k > from && line.trim() === '-->')
  const said = (oneLine ? rest.slice(0, rest.indexOf('-->')) : rest).trim()
  const continues = said === ': continues'
  const known = continues || (said === '' && !oneLine)
  /** @type {string | undefined} */
  let problem
  if (to === -1) problem = 'this comment has no end: a line with nothing but -->.'
  else if (!known)
    problem = `"example${said}" says nothing: write "example: continues", or code below "example".`
  return { from, to: to === -1 ? from : to, codeFrom: from + 1, continues, ends: to !== -1, problem }
}

/**
 * @param {readonly string[]} lines
 * @param {number} from
 * @param {string} marker
 */
function endOf(lines, from, marker) {
  for (let i = from + 1; i < lines.length; i++) {
    const line = (lines[i] ?? '').trim()
    if (line.length >= marker.length && line === (marker[0] ?? '').repeat(line.length)) return i
  }
  return undefined
}

/**
 * What a TypeScript compiler complains of; `--pretty false`. Complaints about no file are about file ''.
 *
 * @param {string} output
 * @returns {{ file: string, line: number, column: number, code: string, message: string }[]}
 */
export function readDiagnostics(output) {
  /** @type {ReturnType<typeof readDiagnostics>} */
  const found = []
  for (const line of output.split(/\r?\n/)) {
    const [matched, file = '', at = '0', column = '0', code = '', message = ''] =
      /^(?:(\S.*?)\((\d+),(\d+)\): )?error (TS\d+): (.*)$/.exec(line) ?? []
    const last = found.at(-1)
    if (matched !== undefined) found.push({ file, line: Number(at), column: Number(column), code, message })
    else if (last !== undefined && line.startsWith(' ')) last.message += ` ${line.trim()}`
  }
  return found
}
