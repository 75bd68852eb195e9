/* The programs in the guide to Cloudflare Access run as printed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createEdgeSim } from '@upgate/edge-sim'
import { afterEach, expect, it } from 'vitest'
import { TestSocket } from '../gateway/socket.ts'
import { stripTypes } from './strip-types.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const guide = readFileSync(new URL('../../docs/guide-cloudflare-access.md', import.meta.url), 'utf8')
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** The program that begins with its own name, in a file below this folder: there it finds the packages. */
function fileOf(name: string): string {
  const source = new RegExp(`\`\`\`[jt]s\\n(// ${name}\\n[\\s\\S]*?)\`\`\``).exec(guide)?.[1]
  if (source === undefined) throw new Error(`The guide prints no ${name}.`)
  const folder = mkdtempSync(`${here}tmp-`)
  closing.push(() => rmSync(folder, { recursive: true }))
  const file = `${folder}/${name.replace(/\.ts$/, '.mjs')}`
  writeFileSync(file, stripTypes(source))
  return file
}

function run(file: string, env: Record<string, string> = {}, args: string[] = []) {
  const child: ChildProcess = spawn(process.execPath, [...args, file], {
    env: { PATH: process.env.PATH ?? '', ...env },
  })
  let output = ''
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  closing.push(() => child.kill() && exited)
  let look = (): void => {}
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (data) => {
      output += String(data)
      look()
    })
  const printed = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      look = () => {
        const [, found] = pattern.exec(output) ?? []
        if (found !== undefined) resolve(found)
      }
      look()
      void exited.then(() => reject(new Error(output)))
    })
  return { exited, printed, output: () => output }
}

it('the server: a person by Access, a node by service token and first frame', async () => {
  const sim = createEdgeSim({
    users: [{ email: 'ada@example.com' }],
    applications: [
      {
        name: 'gateway',
        host: 'gateway.example.com',
        policies: [{ action: 'service_auth' }, { action: 'allow' }],
      },
    ],
  })
  await sim.start()
  closing.push(() => sim.stop())
  const site = 'https://gateway.example.com'
  const server = run(fileOf('server.mjs'), {
    CF_ACCESS_TEAM: 'acme',
    CF_ACCESS_AUD: sim.application('gateway').aud,
    CF_ACCESS_SIMULATOR: sim.url,
    PUBLIC_URL: site,
    PORT: '0',
  })
  const frame = await server.printed(/^(\{"type":"auth".*\})$/m)
  const [, port = ''] = /^Listening: \{.* port: (\d+) \}$/m.exec(server.output()) ?? []
  sim.addHost('gateway.example.com', `http://127.0.0.1:${port}`)

  const cookie = `CF_Authorization=${await sim.issueUserToken('gateway', 'ada@example.com')}`
  expect(await (await sim.fetch(site, { headers: { cookie } })).text()).toBe('hello ada@example.com\n')
  const to = sim.to('wss://gateway.example.com/ws')
  const { headers } = sim.addServiceToken({ name: 'node' })
  const socket = new TestSocket(to.url, { ...to.headers, ...headers })
  expect((await socket.upgraded).status).toBe(101)
  socket.send(frame)
  expect(await socket.message()).toMatchObject({ type: 'auth_ok' })
  expect(await socket.message()).toEqual({ node: 'my node', edge: null })
  socket.close()
})

it('the test of the guide passes', async () => {
  const test = run(fileOf('access.test.ts'), {}, ['--test'])
  expect(await test.exited, test.output()).toBe(0)
  expect(test.output()).toMatch(/pass 1\b/)
})
