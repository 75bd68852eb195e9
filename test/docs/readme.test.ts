/* The first thing a stranger does is paste the program from the README. It has to run as printed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { freePort } from '../free-port.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const cleanup: (() => void)[] = []
afterEach(() => {
  for (const undo of cleanup.splice(0)) undo()
})

/** Runs a program below this folder, so that it finds the installed packages, and waits for a line of its. */
async function run(source: string, line: RegExp): Promise<string> {
  const folder = mkdtempSync(`${here}tmp-`)
  const file = `${folder}/server.mjs`
  writeFileSync(file, source)
  const child: ChildProcess = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
  cleanup.push(() => {
    child.kill()
    rmSync(folder, { recursive: true })
  })
  let output = ''
  for await (const chunk of child.stdout ?? []) {
    output += String(chunk)
    if (line.test(output)) return output
  }
  throw new Error(`The program ended with: ${output}`)
}

describe('the program on the first screen of the README', () => {
  it('runs as printed, and answers its own examples', async () => {
    const source = /```js\n(\/\/ server\.mjs[\s\S]*?)```/.exec(readme)?.[1]
    expect(source).toBeDefined()
    const port = await freePort()
    const output = await run((source ?? '').replaceAll('8787', String(port)), /"type":"auth"/)

    const key = /X-Api-Key: (\S+)'/.exec(output)?.[1] ?? ''
    const me = await fetch(`http://localhost:${port}/api/me`, { headers: { 'x-api-key': key } })
    expect(await me.text()).toMatch(/^hello \S+\n$/)
    expect((await fetch(`http://localhost:${port}/api/me`)).status).toBe(401)
    expect((await fetch(`http://localhost:${port}/health`)).status).toBe(200)
    // The same program under its other name, which was refused there: 403 `host_refused`.
    const byAddress = `http://127.0.0.1:${port}`
    const again = await fetch(`${byAddress}/api/me`, { headers: { 'x-api-key': key } })
    expect([again.status, await again.text()]).toEqual([200, expect.stringMatching(/^hello \S+\n$/)])
    expect((await fetch(`${byAddress}/api/me`)).status).toBe(401)

    for (const origin of [`http://localhost:${port}`, byAddress]) {
      const page = new WebSocket(`${origin.replace('http', 'ws')}/ws`, { origin })
      await once(page, 'open')
      page.terminate()
    }
    const socket = new WebSocket(`ws://localhost:${port}/ws`)
    await once(socket, 'open')
    socket.send(/\{"type":"auth".*\}/.exec(output)?.[0] ?? '')
    const frames: string[] = []
    for await (const [data] of on(socket, 'message')) {
      frames.push(String(data))
      if (frames.length === 2) break
    }
    expect(frames[0]).toContain('"type":"auth_ok"')
    expect(frames[1]).toBe('welcome my node')
    socket.terminate()
  })
})

describe('the program of the package', () => {
  it('runs as printed', async () => {
    const text = readFileSync(new URL('../../packages/upgate/README.md', import.meta.url), 'utf8')
    const source = /```js\n(\/\/ server\.mjs[\s\S]*?)```/.exec(text)?.[1]
    expect(source).toBeDefined()
    const port = await freePort()
    const output = await run((source ?? '').replaceAll('8787', String(port)), /"type":"auth"/)
    const socket = new WebSocket(`ws://localhost:${port}/ws`)
    await once(socket, 'open')
    socket.send(/\{"type":"auth".*\}/.exec(output)?.[0] ?? '')
    const frames: string[] = []
    for await (const [data] of on(socket, 'message')) {
      frames.push(String(data))
      if (frames.length === 2) break
    }
    expect(frames[1]).toBe('welcome kitchen')
    socket.terminate()
  })
})

describe('the repair that the README prints', () => {
  it('is the one that is tested', () => {
    const lines = (name: string): string[] =>
      readFileSync(new URL(`../contract/report-a/${name}.mjs`, import.meta.url), 'utf8').split('\n')
    const before = new Set(lines('before'))
    const added = lines('after').filter((line) => !before.has(line))
    const printed = (/```diff\n([\s\S]*?)```/.exec(readme)?.[1] ?? '')
      .split('\n')
      .filter((line) => line.startsWith('+'))
    expect(printed).toEqual(added.map((line) => `+${line}`))
  })
})
