/* What the documentation prints does not throw: blocks that no test of their own runs are run with what they leave out. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readPrograms } from '../../scripts/lib/examples.mjs'
import { stripTypes } from './strip-types.ts'

const root = new URL('../../', import.meta.url)
/** Files whose programs have tests of their own, in this folder. */
const ranElsewhere = ['guide-oauth.md', 'guide-pairing.md', 'guide-sessions-elsewhere.md', 'guide-stores.md']
const guides = readdirSync(new URL('docs/', root)).filter(
  (file) => file.endsWith('.md') && !ranElsewhere.includes(file),
)
const programs = guides
  .flatMap(
    (file) => readPrograms(`docs/${file}`, readFileSync(new URL(`docs/${file}`, root), 'utf8')).programs,
  )
  // Whole programs have a name in their first line, and tests of their own.
  .filter(({ source }) => !/^\s*\/\/ (server|access\.test)\.(mjs|ts)/.test(source))

describe('the blocks of the guides run', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(fileURLToPath(new URL('tmp-', import.meta.url)))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('and there are some', () => expect(programs.length).toBeGreaterThanOrEqual(11))
  it.each(programs.map((program) => [`${program.file}:${program.line}`, program.source] as const))(
    '%s',
    async (where, source) => {
      const cwd = `${folder}/${where.replaceAll(/\W/g, '-')}`
      mkdirSync(cwd)
      // Those that listen or hold a connection would run without end, as they should.
      writeFileSync(`${cwd}/program.mjs`, `${stripTypes(source)}\nprocess.exit()\n`)
      const env = { ...process.env, ACQUAINTANCE_KEY: 'a secret of at least thirty-two characters' }
      const child = spawn(process.execPath, ['program.mjs'], {
        cwd,
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      let errors = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        errors += text
      })
      const [status] = await once(child, 'close')
      expect(status, errors).toBe(0)
    },
  )
})
