import { beforeAll, describe, expect, test } from 'vitest'
import { type Outcome, runAll } from './run.ts'
import { situations } from './situations.ts'

/* Every situation through the client and the doctor: each says exactly its own code. */

let outcomes: readonly Outcome[] = []

beforeAll(async () => {
  outcomes = await runAll(situations)
}, 100_000)

describe('each situation is classified as itself', () => {
  test.each(situations.map((each, index) => ({ ...each, index })))('$number $name', ({ index, code, without }) => {
    const { client, doctor } = outcomes[index] as Outcome
    expect({ client, doctor }).toEqual({
      client: without?.client === undefined ? code : undefined,
      doctor: without?.doctor === undefined ? code : undefined,
    })
  })
})
