import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Header, Journal } from '../src/journal.mjs'
import { writePage } from '../src/page.mjs'
import { supersedes } from '../src/results.mjs'
import { runSuite } from '../src/run.mjs'
import type { Round, Suite } from '../src/suite.mjs'
import { verdict } from '../src/targets.mjs'

let folder: string
let journal: Journal
let said: string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'upgate-bench-test-'))
  journal = new Journal(folder, 'suite')
  said = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const header = (planned: number): Header => ({
  suite: 'suite',
  started: '2026-01-02T03:04:05.000Z',
  mode: 'full',
  seed: 1,
  conditions: {
    node: 'v20',
    machine: 'a machine',
    versions: 'upgate 1',
    build: 'abc',
    commit: '',
    placement: 'anywhere',
    postgres: false,
    redis: false,
  },
  settings: {},
  planned,
})

const suiteOf = (measure: Suite['measure']): Suite => ({
  name: 'suite',
  rounds: 3,
  share: 1,
  settings: () => ({}),
  measure,
  report: ({ samples }) => `## Suite\n\n${JSON.stringify(samples)}`,
})

const whole = async function* ({ round }: Round) {
  yield { id: 'a', values: { time: round } }
  yield { id: 'b', values: { time: 10 * round } }
}

const run = (suite: Suite, planned: number, interrupted = () => false) =>
  runSuite(suite, header(planned), journal, { say: (text) => said.push(text), interrupted })

test('keeps every round, and says a line for each', async () => {
  journal.begin(header(3))
  await run(suiteOf(whole), 3)
  expect(journal.read()).toMatchObject({
    rounds: 3,
    repeated: 0,
    samples: { a: { time: [0, 1, 2] }, b: { time: [0, 10, 20] } },
  })
  expect(said).toHaveLength(3)
  expect(said[0]).toMatch(/^suite: round 1 of 3, .* left \(load /)
})

test('a failed round is measured again, and its half does not count', async () => {
  journal.begin(header(2))
  let failures = 0
  const suite = suiteOf(async function* (round) {
    yield { id: 'a', values: { time: -1 } }
    if (round.round === 1 && failures++ === 0) throw new Error('a hiccup')
    yield* whole(round)
  })
  await run(suite, 2)
  expect(journal.read()).toMatchObject({ rounds: 2, repeated: 1, samples: { b: { time: [0, 10] } } })
  expect(said).toContain('suite: round 2 failed and is measured anew: a hiccup')
})

test('what fails twice ends the suite, and the rounds before it stay', async () => {
  journal.begin(header(5))
  const suite = suiteOf(async function* (round) {
    if (round.round === 2) throw new Error('broken')
    yield* whole(round)
  })
  await expect(run(suite, 5)).rejects.toThrow('broken')
  expect(journal.read()).toMatchObject({ rounds: 2, samples: { a: { time: [0, 1] } } })
})

test('ends after a whole round when its time is over, as a run that is complete', async () => {
  journal.begin(header(5))
  const until = performance.now()
  await runSuite(suiteOf(whole), header(5), journal, {
    say: (text) => said.push(text),
    interrupted: () => false,
    until,
  })
  expect(journal.read()).toMatchObject({ rounds: 1, planned: 1 })
  expect(said.at(-1)).toBe('suite: its time is over after 1 of 5 rounds (--minutes)')
})

test('a value that is no number fails its round', async () => {
  journal.begin(header(1))
  const suite = suiteOf(async function* () {
    yield { id: 'a', values: { time: Number.NaN } }
  })
  await expect(run(suite, 1)).rejects.toThrow('a: time is no number')
})

test('goes on where a run was cut off, in the middle of a line', async () => {
  journal.begin(header(6))
  let interrupted = false
  const cut = suiteOf(async function* (round) {
    yield { id: 'a', values: { time: -1 } }
    if (round.round === 2) interrupted = true
    yield* whole(round)
  })
  await expect(run(cut, 4, () => interrupted)).rejects.toThrow('interrupted')
  appendFileSync(join(folder, 'suite.jsonl'), '\n{"round":2,"id":"a","val')
  journal.goOn(4)
  const measured: number[] = []
  const suite = suiteOf(async function* (round) {
    measured.push(round.round)
    yield* whole(round)
  })
  await run(suite, 4)
  expect(measured).toEqual([2, 3])
  expect(journal.read()).toMatchObject({ rounds: 4, planned: 4, samples: { b: { time: [0, 10, 20, 30] } } })
})

test('the same round has the same random numbers, whichever run it is part of', async () => {
  const numbers: number[] = []
  const suite = suiteOf(async function* (round) {
    numbers.push(round.random())
    yield* whole(round)
  })
  journal.begin(header(2))
  await run(suite, 2)
  const [, second] = numbers
  journal.begin(header(1))
  await run(suiteOf(whole), 1)
  await run(suite, 2)
  expect(numbers[2]).toBe(second)
})

test('the preparation is cleaned up in every case', async () => {
  journal.begin(header(1))
  let open = 0
  const suite: Suite = {
    ...suiteOf(async function* () {
      yield await Promise.reject(new Error('broken'))
    }),
    async prepare() {
      open++
      return { state: undefined, dispose: () => void open-- }
    },
  }
  await expect(run(suite, 1)).rejects.toThrow('broken')
  expect(open).toBe(0)
})

test('the page is written from the available values, and names missing and weak ones', async () => {
  journal.begin(header(3))
  await run(suiteOf(whole), 3)
  const suite = suiteOf(whole)
  const result = journal.read()
  if (result === undefined) throw new Error('nothing was measured')
  const page = writePage([suite, { ...suite, name: 'other' }], new Map([['suite', result]]))
  expect(page).toContain('Not measured yet: `other`.')
  expect(page).toMatch(/## Suite\n\n\*2026-01-02; 3 rounds in .*\*\*Orientation only\*\*: too few rounds\./)
})

test('part of a run does not take the place of more', () => {
  expect(supersedes({ rounds: 3, planned: 15 }, { rounds: 15 })).toBe(false)
  expect(supersedes({ rounds: 3, planned: 15 }, undefined)).toBe(true)
  expect(supersedes({ rounds: 10, planned: 10 }, { rounds: 15 })).toBe(true)
})

test('a target is met by the bad end of the interval, and by nothing below fifteen rounds', () => {
  const estimate = { median: 1, low: 0.9, high: 1.1, count: 15 }
  expect(verdict(estimate, { atMost: 1.1 })).toBe('≤ 1.1: **met**')
  expect(verdict(estimate, { atMost: 1.05 })).toBe('≤ 1.05: **not met** (median within, interval across)')
  expect(verdict(estimate, { atLeast: 1.2 })).toBe('≥ 1.2: **not met**')
  expect(verdict({ ...estimate, count: 14 }, { atMost: 2 })).toBe('≤ 2: too few rounds')
})
