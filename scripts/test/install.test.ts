import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { staleness } from '../lib/install.mjs'

const here = { os: [process.platform], cpu: [process.arch] }
const elsewhere = { os: ['aix'], cpu: ['mips'] }

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'upgate-install-'))
  write('package.json', { dependencies: { left: '^1.0.0' } })
  write('packages/own/package.json', { devDependencies: { right: '2.0.0' } })
  lock({})
  record({})
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(path: string, content: object): void {
  mkdirSync(join(folder, dirname(path)), { recursive: true })
  writeFileSync(join(folder, path), JSON.stringify(content))
}

const installed = {
  'node_modules/left': { version: '1.2.0', integrity: 'sha512-left' },
  'node_modules/own': { resolved: 'packages/own', link: true },
  'packages/own': { devDependencies: { right: '2.0.0' } },
}

function lock(more: Record<string, object>): void {
  write('package-lock.json', {
    packages: { '': { dependencies: { left: '^1.0.0' } }, ...installed, ...more },
  })
}

function record(more: Record<string, object>): void {
  for (const path of Object.keys({ ...installed, ...more }))
    mkdirSync(join(folder, path), { recursive: true })
  write('node_modules/.package-lock.json', { packages: { ...installed, ...more } })
}

test('an installation that matches the lock is left alone', () => {
  expect(staleness(folder)).toBeUndefined()
})

test('a fresh clone has nothing installed', () => {
  rmSync(join(folder, 'node_modules'), { recursive: true })
  expect(staleness(folder)).toBe('nothing is installed yet')
})

test('an interrupted installation leaves a damaged record', () => {
  writeFileSync(join(folder, 'node_modules/.package-lock.json'), '{"packages":')
  expect(staleness(folder)).toBe('the record of what is installed is damaged')
})

test('another version in the lock file counts, and so does other content under the same version', () => {
  lock({ 'node_modules/left': { version: '1.3.0', integrity: 'sha512-left' } })
  expect(staleness(folder)).toBe('node_modules/left has changed')
  lock({ 'node_modules/left': { version: '1.2.0', integrity: 'sha512-other' } })
  expect(staleness(folder)).toBe('node_modules/left has changed')
})

test('a new package counts, and so does one that is no longer wanted', () => {
  lock({ 'node_modules/new': { version: '1.0.0' } })
  expect(staleness(folder)).toBe('node_modules/new is missing')
  lock({})
  record({ 'node_modules/old': { version: '1.0.0' } })
  expect(staleness(folder)).toBe('node_modules/old is no longer wanted')
})

test('a removed folder counts, even if the record lists it', () => {
  rmSync(join(folder, 'node_modules/left'), { recursive: true })
  expect(staleness(folder)).toBe('node_modules/left is gone')
})

test("other platforms' optional binaries may be absent, this platform's may not", () => {
  lock({ 'node_modules/bin': { version: '1.0.0', optional: true, ...elsewhere } })
  expect(staleness(folder)).toBeUndefined()
  lock({ 'node_modules/bin': { version: '1.0.0', optional: true, ...here } })
  expect(staleness(folder)).toBe('node_modules/bin is missing')
})

test("this platform's binary may be there although the lock file's registry did not carry it", () => {
  record({ 'node_modules/bin': { version: '1.0.0', optional: true, ...here } })
  expect(staleness(folder)).toBeUndefined()
})

test('a package.json edited without the lock file counts, in a workspace too', () => {
  write('packages/own/package.json', { devDependencies: { right: '2.1.0' } })
  expect(staleness(folder)).toBe(`${join('packages', 'own', 'package.json')} has changed`)
})
