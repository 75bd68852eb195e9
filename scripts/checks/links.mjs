// Every relative link in the documentation leads to a file that is there, and every #anchor to a heading in it.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { root } from '../lib/paths.mjs'

/** Anchors of files already read. @type {Map<string, Set<string>>} */
const known = new Map()

const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\0')
  .filter((file) => file !== '' && existsSync(join(root, file)))

const problems = files.flatMap((file) => problemsIn(file))
if (problems.length > 0) {
  console.error(problems.join('\n'))
  process.exitCode = 1
}

/** @param {string} file */
function problemsIn(file) {
  const text = prose(readFileSync(join(root, file), 'utf8'))
  const targets = [
    ...[...text.matchAll(/\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)].map(
      (match) => match[1] ?? '',
    ),
    ...[...text.matchAll(/^\s*\[[^\]]+\]:\s*<?(\S+?)>?(?:\s+"[^"]*")?\s*$/gm)].map((match) => match[1] ?? ''),
    ...[...text.matchAll(/<(?:a|img|source)\b[^>]*?\s(?:href|src|srcset)="([^"]+)"/g)].map(
      (match) => match[1] ?? '',
    ),
  ]
  return targets.flatMap((target) => {
    const problem = problemWith(file, target)
    return problem === undefined ? [] : [`${file}: ${target}: ${problem}`]
  })
}

/**
 * @param {string} file
 * @param {string} target
 */
function problemWith(file, target) {
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return undefined
  if (target.startsWith('/')) return 'starts with a slash, which leads nowhere in a checkout'
  const [path = '', anchor] = target.split('#')
  const full = path === '' ? join(root, file) : join(root, dirname(file), decodeURIComponent(path))
  if (relative(root, full).startsWith('..')) return 'leads out of the repository'
  if (!existsSync(full)) return 'no such file'
  if (anchor === undefined || anchor === '' || statSync(full).isDirectory()) return undefined
  if (!full.endsWith('.md')) return undefined
  return anchors(full).has(decodeURIComponent(anchor)) ? undefined : 'no such heading'
}

/** The anchors GitHub makes of headings. @param {string} path */
function anchors(path) {
  let found = known.get(path)
  if (found === undefined) {
    found = new Set()
    const text = prose(readFileSync(path, 'utf8'), { keepCode: true })
    for (const [, heading = ''] of text.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
      const slug = heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replace(/[`*]/g, '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
        .replace(/ /g, '-')
      let unique = slug
      for (let n = 1; found.has(unique); n++) unique = `${slug}-${n}`
      found.add(unique)
    }
    for (const [, id = ''] of text.matchAll(/<[a-z]+\b[^>]*?\s(?:id|name)="([^"]+)"/g)) found.add(id)
    known.set(path, found)
  }
  return found
}

/**
 * The text without code blocks, and without code spans unless they are kept.
 *
 * @param {string} text
 * @param {{ keepCode?: boolean }} [options]
 */
function prose(text, { keepCode = false } = {}) {
  const blocks = text
    .replace(/^([ \t]*)(`{3,}|~{3,})[^\n]*\n[\s\S]*?^[ \t]*\2[ \t]*$/gm, '')
    .replace(/<!--[\s\S]*?-->/g, '')
  return keepCode ? blocks : blocks.replace(/(`+)(?!`)[\s\S]*?[^`]\1(?!`)/g, '')
}
