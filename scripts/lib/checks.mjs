import { join } from 'node:path'
import { runNode } from './children.mjs'
import { root, tool } from './paths.mjs'

/**
 * One check: something that reads the sources or the build and says whether they are in order.
 *
 * @typedef {{ name: string, work: () => Promise<{ code: number, output: string, note?: string }> }} Check
 */

/** Every check, the longest first: two run at a time. @type {Check[]} */
export const checks = [
  { name: 'package', work: () => withNote(own('package.mjs')) },
  { name: 'bench', work: () => runNode(join(root, 'bench', 'src', 'main.mjs'), ['--check'], { cwd: root }) },
  {
    name: 'flood',
    work: () => runNode(join(root, 'bench', 'src', 'flood', 'main.mjs'), ['--check'], { cwd: root }),
  },
  { name: 'examples', work: () => own('examples.mjs') },
  { name: 'docstrings', work: () => own('docstrings.mjs') },
  { name: 'types', work: () => node('typescript', ['-b'], 'tsc') },
  { name: 'knip', work: () => node('knip', ['--no-progress']) },
  { name: 'size', work: () => node('size-limit', []) },
  { name: 'lint', work: () => node('@biomejs/biome', ['check', '--error-on-warnings', '.'], 'biome') },
  {
    name: 'reference',
    work: () => runNode(join(root, 'scripts', 'reference.mjs'), ['--check'], { cwd: root }),
  },
  {
    name: 'diagnosis',
    work: () => runNode(join(root, 'scripts', 'diagnosis.mjs'), ['--check'], { cwd: root }),
  },
  { name: 'rooms', work: () => own('rooms.mjs') },
  { name: 'words', work: () => own('words.mjs') },
  { name: 'links', work: () => own('links.mjs') },
  { name: 'portable', work: () => own('portable.mjs') },
]

/**
 * @param {string} name
 * @param {string[]} args
 * @param {string} [bin]
 */
function node(name, args, bin) {
  return runNode(tool(name, bin), args, { cwd: root })
}

/**
 * Shows the last line of a check that passed.
 *
 * @param {ReturnType<typeof runNode>} outcome
 */
async function withNote(outcome) {
  const result = await outcome
  const note = result.code === 0 ? (result.output.trim().split('\n').at(-1) ?? '') : ''
  return { ...result, note }
}

/** @param {string} file */
function own(file) {
  return runNode(join(root, 'scripts', 'checks', file), [], { cwd: root })
}
