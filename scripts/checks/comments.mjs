/**
 * Comments of a TypeScript or JavaScript source, found without a parser: strings, templates and regular expressions are
 * stepped over.
 *
 * @param {string} file
 * @param {string} source
 * @returns {{ file: string, line: number, text: string }[]}
 */
export function commentsIn(file, source) {
  /** @type {{ file: string, line: number, text: string }[]} */
  const found = []
  let line = 1
  let before = ''
  for (let at = 0; at < source.length; ) {
    const rest = source.slice(at, at + 2)
    if (rest === '//' || rest === '/*') {
      const end = rest === '//' ? lineEnd(source, at) : source.indexOf('*/', at + 2) + 2 || source.length
      const text = source.slice(at, end)
      found.push({ file, line, text: prose(text) })
      line += text.split('\n').length - 1
      at = end
      continue
    }
    const token = /** @type {string} */ (source[at])
    const end = /["'`]/.test(token)
      ? stringEnd(source, at)
      : token === '/' && /[(,=:[!&|?{};+\-*%<>~^\n]|^$|return/.test(before)
        ? regexEnd(source, at)
        : at + 1
    line += source.slice(at, end).split('\n').length - 1
    if (!/\s/.test(token)) before = /[a-z]/.test(token) ? `${before}${token}`.slice(-6) : token
    at = end
  }
  return joined(found)
}

/**
 * Names of the tests of a file: first arguments of `describe`, `it` and `test`.
 *
 * @param {string} file
 * @param {string} source
 * @returns {{ file: string, line: number, text: string }[]}
 */
export function testNamesIn(file, source) {
  return [
    ...source.matchAll(
      /\b(?:describe|it|test)(?:\.[a-zA-Z]+(?:\([^)]*\))?)*\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g,
    ),
  ].map((match) => ({
    file,
    line: source.slice(0, match.index).split('\n').length,
    text: (match[2] ?? '').replace(/\$\{[^}]*\}/g, ' '),
  }))
}

/** Without decoration, code spans and examples. @param {string} comment */
function prose(comment) {
  return comment
    .replace(/^\s*\/?\*+\/?/gm, ' ')
    .replace(/^\s*\/\//, ' ')
    .replace(/\*\/$/, ' ')
    .replace(/@example[\s\S]*?(?=\n\s*@|$)/g, ' ')
    .replace(/`[^`]*`/g, ' ')
}

/**
 * One passage for line comments that follow each other, so that a phrase broken over two lines is seen.
 *
 * @param {{ file: string, line: number, text: string }[]} comments
 */
function joined(comments) {
  /** @type {{ file: string, line: number, text: string, last: number }[]} */
  const passages = []
  for (const { file, line, text } of comments) {
    const previous = passages.at(-1)
    if (previous !== undefined && previous.last === line - 1 && !text.includes('\n')) {
      previous.text += ` ${text}`
      previous.last = line
    } else passages.push({ file, line, text, last: line + text.split('\n').length - 1 })
  }
  return passages.map(({ file, line, text }) => ({ file, line, text: text.replace(/\s+/g, ' ').trim() }))
}

/**
 * @param {string} source
 * @param {number} at
 */
function lineEnd(source, at) {
  const end = source.indexOf('\n', at)
  return end === -1 ? source.length : end
}

/**
 * @param {string} source
 * @param {number} at Position of the opening quote
 */
function stringEnd(source, at) {
  const quote = source[at]
  let i = at + 1
  while (i < source.length && source[i] !== quote) {
    if (source[i] === '\\') i++
    else if (quote !== '`' && source[i] === '\n') return i
    else if (quote === '`' && source.startsWith('${', i)) {
      i = bracesEnd(source, i + 1)
      continue
    }
    i++
  }
  return i + 1
}

/**
 * @param {string} source
 * @param {number} at Position of the opening brace
 */
function bracesEnd(source, at) {
  let depth = 0
  for (let i = at; i < source.length; i++) {
    if (/["'`]/.test(/** @type {string} */ (source[i]))) i = stringEnd(source, i) - 1
    else if (source[i] === '{') depth++
    else if (source[i] === '}' && --depth === 0) return i + 1
  }
  return source.length
}

/**
 * @param {string} source
 * @param {number} at Position of the opening slash
 */
function regexEnd(source, at) {
  let inClass = false
  for (let i = at + 1; i < source.length; i++) {
    const c = source[i]
    if (c === '\n') return at + 1
    if (c === '\\') i++
    else if (c === '[') inClass = true
    else if (c === ']') inClass = false
    else if (c === '/' && !inClass) return i + 1
  }
  return at + 1
}
