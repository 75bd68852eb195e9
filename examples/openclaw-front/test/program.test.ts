// The front as a separate process: its settings, and its end.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readConfig } from '../src/config.ts'
import { help, readSettings } from '../src/settings.ts'
import { admin, logIn } from './stage/front.ts'
import { type StageGateway, startGateway } from './stage/gateway.ts'
import { newKey, StageNode } from './stage/node.ts'

const entry = fileURLToPath(new URL('../dist/main.js', import.meta.url))
let gateway: StageGateway
let folder: string
let child: ChildProcess | undefined
beforeAll(async () => {
  if (!existsSync(entry)) throw new Error('The front is not built: npm run build')
  folder = mkdtempSync(join(tmpdir(), 'openclaw-front-'))
  gateway = await startGateway()
})
afterAll(async () => {
  child?.kill('SIGKILL')
  await gateway.close()
  rmSync(folder, { recursive: true, force: true })
})

function run(args: readonly string[], env: Readonly<Record<string, string>>) {
  const started = spawn(process.execPath, [entry, ...args], { env: { PATH: process.env.PATH, ...env } })
  child = started
  let output = ''
  let errors = ''
  let ready: (origin: string) => void = () => {}
  const origin = new Promise<string>((resolve) => {
    ready = resolve
  })
  started.stdout.on('data', (chunk) => {
    output += chunk
    const found = /Front ready: (\S+),/.exec(output)?.[1]
    if (found !== undefined) ready(found)
  })
  started.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const exited = new Promise<number | null>((resolve) => {
    started.once('close', (code) => {
      child = undefined
      resolve(code)
    })
  })
  return { process: started, origin, exited, output: () => output, errors: () => errors }
}

it('SIGTERM closes sockets on both sides with 1001, lets a running answer end, and exits with 0', async () => {
  const front = run(['--port', '0', `--upstream-url=http://127.0.0.1:${gateway.port}`], {
    DATA_DIR: join(folder, 'data'),
    UPSTREAM_TOKEN: 'the-gateways-own-token',
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
  })
  const origin = await front.origin
  const cookie = await logIn({ origin } as never)
  const { port } = new URL(origin)
  const page = new StageNode(Number(port), newKey(), { headers: { cookie, origin } })
  await page.connect()
  const silent = new StageNode(Number(port), newKey())
  await silent.challenge
  const late = fetch(`${origin}/late`, { headers: { cookie } })
  await expect.poll(() => gateway.requests.at(-1)?.url).toBe('/late')

  const since = performance.now()
  front.process.kill('SIGTERM')
  expect((await page.closed).code).toBe(1001)
  expect((await silent.closed).code).toBe(1001)
  await expect.poll(() => gateway.accepted.at(-1)?.socket.readyState).toBe(3)
  expect(await (await late).text()).toBe('late')
  expect(await front.exited).toBe(0)
  expect(performance.now() - since).toBeLessThan(15_000)
  for (const secret of [admin.password, 'the-gateways-own-token', cookie.split('=')[1] ?? '']) {
    expect(front.output() + front.errors()).not.toContain(secret)
  }
})

const usable = {
  UPSTREAM_TOKEN: 'secret-token',
  ADMIN_EMAIL: 'ada@example.com',
  ADMIN_PASSWORD: 'secret-password',
}
it.each<[string, Readonly<Record<string, string>>, (readonly string[])?]>([
  ['UPSTREAM_TOKEN', { UPSTREAM_TOKEN: '' }],
  ['UPSTREAM_PASSWORD', { UPSTREAM_PASSWORD: 'secret-too' }],
  ['UPSTREAM_URL', { UPSTREAM_URL: 'http://10.0.0.5:18789' }],
  ['UPSTREAM_URL', { UPSTREAM_URL: 'http://127.0.0.1:18789/base' }],
  ['UPSTREAM_USER_HEADER', { UPSTREAM_USER_HEADER: 'x user' }],
  ['UPSTREAM_WAITING', { UPSTREAM_WAITING: '32' }],
  ['NODES', { NODES: 'both' }],
  ['LOGIN', { LOGIN: 'none' }],
  ['ADMIN_PASSWORD', { ADMIN_PASSWORD: '' }],
  ['PUBLIC_URL', { PUBLIC_URL: 'https://claw.example.com/base' }],
  ['CF_ACCESS_AUD', { CF_ACCESS_AUD: 'x' }],
  ['CF_ACCESS_TEAM', { LOGIN: 'access' }],
  ['IDENTITY_PEERS', { LOGIN: 'header', IDENTITY_HEADERS: 'authelia' }],
  ['PORT', { PORT: '70000' }],
  ['--upstream-token', {}, ['--upstream-token=secret-flag']],
  ['--nonsense', {}, ['--nonsense']],
  ['UPSTREAM_TOKEN_FILE', { UPSTREAM_TOKEN: '', UPSTREAM_TOKEN_FILE: '/nowhere' }],
])('names the setting that is wrong, and no secret: %s', (name, env, args = []) => {
  const read = (): unknown => {
    const given = readSettings(args, { ...usable, ...env })
    return given && readConfig(given)
  }
  expect(read).toThrow(name)
  let message = ''
  try {
    read()
  } catch (error) {
    message = String(error)
  }
  expect(message).not.toMatch(/secret-/)
})

it('--help lists every setting, and no secret as a flag', () => {
  expect(readSettings(['--help'], {})).toBeUndefined()
  expect(help()).toMatch(/UPSTREAM_URL, --upstream-url/)
  expect(help()).toMatch(/UPSTREAM_TOKEN, UPSTREAM_TOKEN_FILE/)
  expect(help()).not.toMatch(/--upstream-token|--admin-password/)
})
