// Needs PostgreSQL and Redis.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  administer,
  dropSchema,
  postgresAnswers,
  postgresUrl,
  redisAnswers,
  redisUrl,
  uniqueName,
} from '../integration/services.ts'

const guide = readFileSync(new URL('../../docs/guide-stores.md', import.meta.url), 'utf8')
const snippets = guide.split(/^## /m).flatMap((section) => {
  const heading = section.slice(0, section.indexOf('\n'))
  return [...section.matchAll(/^```js\n(.*?)^```/gms)].map(([, code = '']) => ({ heading, code }))
})

describe.skipIf(!((await postgresAnswers()) && (await redisAnswers())))('the guide to stores', () => {
  const schema = uniqueName()
  let folder: string
  beforeAll(async () => {
    folder = mkdtempSync(fileURLToPath(new URL('tmp-', import.meta.url)))
    await administer(`create schema ${schema}`)
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true })
    await dropSchema(schema)
  })

  test('has programs', () => expect(snippets.length).toBeGreaterThanOrEqual(6))
  snippets.forEach(({ heading, code }, n) => {
    test(`${heading}: program ${n + 1} runs as printed`, async () => {
      const file = join(folder, `${n}.mjs`)
      // Those that hold a connection would run without end, as they should.
      const ends = code.includes('storeContract') ? '' : '\nprocess.exit()\n'
      writeFileSync(file, code + ends)
      const database = new URL(postgresUrl)
      database.searchParams.set('options', `-c search_path=${schema}`)
      const child = spawn(process.execPath, [file], {
        cwd: folder,
        env: { ...process.env, DATABASE_URL: database.href, REDIS_URL: redisUrl },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
        })
      }
      const [status] = await once(child, 'close')
      expect(status, output).toBe(0)
    })
  })
})
