import { readFileSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { covered, writeMatrix } from './matrix.ts'
import { type Outcome, runAll } from './run.ts'
import { situations } from './situations.ts'

/* Every situation through the client and the doctor: each says exactly its own code. */

const page = new URL('../../docs/diagnosis/situations.md', import.meta.url)
let outcomes: readonly Outcome[] = []

beforeAll(async () => {
  outcomes = await runAll(situations)
})

describe('each situation is classified as itself', () => {
  test.each(situations.map((each, index) => ({ ...each, index })))(
    '$number $name',
    ({ index, code, without }) => {
      const { client, doctor } = outcomes[index] as Outcome
      expect({ client, doctor }).toEqual({
        client: without?.client === undefined ? code : undefined,
        doctor: without?.doctor === undefined ? code : undefined,
      })
    },
  )
})

test('at least 60 of the 72 numbered failures are produced', () => {
  expect(covered(outcomes).length).toBeGreaterThanOrEqual(60)
})

test('the names of a certificate for another host are shown', () => {
  const { printed } = outcomes.find(({ situation }) => situation.code === 'tls_name_mismatch') as Outcome
  expect(printed).toContain('DNS:other.example')
})

test('nothing that client and doctor said has a secret that was sent', () => {
  const used = new Set(outcomes.flatMap(({ secrets }) => secrets))
  expect(used.size).toBeGreaterThan(60)
  for (const { situation, printed } of outcomes) {
    for (const secret of used) {
      expect(printed.includes(secret), situation.name).toBe(false)
      expect(printed.includes(encodeURIComponent(secret)), situation.name).toBe(false)
    }
  }
})

test('docs/diagnosis/situations.md has these verdicts (node scripts/situations.mjs writes it)', () => {
  const text = writeMatrix(outcomes)
  if (process.env.UPGATE_WRITE_SITUATIONS !== undefined) writeFileSync(page, text)
  expect(readFileSync(page, 'utf8')).toBe(text)
})
