import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root } from '../lib/paths.mjs'
import { checkPrinted } from '../lib/printed-secrets.mjs'

/* The check that looks through the output of all tests. */

const secret = 'correct horse battery'
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'upgate-printed-'))
  writeFileSync(join(folder, 'secrets-1.jsonl'), `${JSON.stringify(secret)}\n`)
})
afterEach(() => rmSync(folder, { recursive: true }))

function printed(text: string, label = 'log', test = 'test/some.test.ts') {
  const line = JSON.stringify({ label, testPath: join(root, test), text })
  writeFileSync(join(folder, 'printed-2.jsonl'), `${line}\n`)
  return checkPrinted(folder)
}

test('a secret of one process in the output of another is named with its place, and cut', () => {
  const { code, output } = printed(`the password ${secret} is wrong`)
  expect(code).toBe(1)
  expect(output).toContain('test/some.test.ts: a secret in log: the password corr[...]')
  expect(output).not.toContain(secret)
})

test.each([
  ['a token that no test named', `token=ugd_0123456789AB_${'a1'.repeat(25)}`],
  ['a private key', '-----BEGIN PRIVATE KEY-----'],
])('%s is found by its form', (_what, text) => {
  expect(printed(text).code).toBe(1)
})

test('output without a secret passes, and so does output on purpose, in its place only', () => {
  expect(printed('all is well').code).toBe(0)
  const setup = `Setup code: ${secret}`
  expect(printed(setup, 'stdout of 7 main.js').code).toBe(0)
  expect(printed(setup, 'log').code).toBe(1)
})

test('a run that recorded nothing does not pass', () => {
  expect(printed('').code).toBe(1)
})
