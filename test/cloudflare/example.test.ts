import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { edgeFetch } from '@upgate/edge-sim'
import { afterEach, expect, it } from 'vitest'

/* examples/behind-cloudflare, run as a person would run it. */

const folder = fileURLToPath(new URL('../../examples/behind-cloudflare', import.meta.url))
const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    const gone = new Promise((resolve) => child.once('exit', resolve))
    if (child.exitCode === null && child.kill('SIGTERM')) await gone
  }
})

function run(program: string, args: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', ...env },
  })
  children.push(child)
  let output = ''
  const watchers = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const watch of watchers) watch()
    })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    child,
    exited,
    output: () => output,
    printed: (pattern: RegExp) =>
      new Promise<RegExpMatchArray>((resolve, reject) => {
        const look = (): void => {
          const match = output.match(pattern)
          if (match !== null && watchers.delete(look)) resolve(match)
        }
        watchers.add(look)
        look()
        void exited.then(() => reject(new Error(`It ended without printing ${pattern}.\n${output}`)))
      }),
  }
}

/** Chooses a user on the login page that a redirect leads to, and answers the cookie. */
async function logIn(site: string, email: string): Promise<string> {
  const go = edgeFetch(site, { hosts: ['localhost'] })
  const manual = { redirect: 'manual' } as const
  const login = (await go(`${site}/`, manual)).headers.get('location') ?? ''
  const page = await (await go(login, manual)).text()
  const [, state = ''] = /name="state" value="([0-9a-f]+)"/.exec(page) ?? []
  const [, action = ''] = /<form method="post" action="([^"]+)"/.exec(page) ?? []
  const chosen = await go(new URL(action.replaceAll('&amp;', '&'), login).href, {
    method: 'POST',
    body: new URLSearchParams({ state, email }),
    ...manual,
  })
  const done = await go(chosen.headers.get('location') ?? '', manual)
  return (
    done.headers
      .getSetCookie()
      .find((line) => line.startsWith('CF_Authorization='))
      ?.split(';')[0] ?? ''
  )
}

it('one command starts edge and gateway; a simulated user logs in, a node connects with both tokens', async () => {
  const edge = run('start.mjs', [], { PORT: '0' })
  const [, site = ''] = await edge.printed(/^Ready: (\S+)\n/m)
  const [, id = '', secret = ''] = await edge.printed(
    /CLIENT_ID=(\S+) \\\n\s+CF_ACCESS_CLIENT_SECRET=(\S+) \\/,
  )
  const command = '../../packages/cli/dist/bin.js'
  const node = (env: Record<string, string>, ...more: string[]) =>
    run(command, ['node', `${site.replace('http', 'ws')}/ws`, ...more], env)

  const bob = await fetch(`${site}/api/me`, { headers: { cookie: await logIn(site, 'bob@example.com') } })
  expect([bob.status, (await bob.json()).code]).toEqual([403, 'unknown_identity'])

  const cookie = await logIn(site, 'ada@example.com')
  const page = await (await fetch(`${site}/nodes`, { headers: { cookie } })).text()
  expect(page).toContain('via Cloudflare Access')
  const headers = { cookie, origin: site, 'content-type': 'application/json' }
  const made = await fetch(`${site}/api/devices`, { method: 'POST', headers, body: '{"name":"cellar"}' })
  const { token } = (await made.json()) as { token: string }

  const access = { CF_ACCESS_CLIENT_ID: id, CF_ACCESS_CLIENT_SECRET: secret }
  const right = node({ ...access, UPGATE_TOKEN: token })
  await right.printed(/Accepted as node/)
  const nodes = await (await fetch(`${site}/api/nodes`, { headers: { cookie } })).json()
  expect(nodes).toMatchObject({ nodes: [{ name: 'cellar' }] })

  edge.child.stdin.write('rotate\n')
  await edge.printed(/^edge: signs with /m)
  expect((await fetch(`${site}/api/me`, { headers: { cookie } })).status).toBe(200)

  for (const [env, code] of [
    [{ UPGATE_TOKEN: token }, 'edge-access, access_login_required'],
    [
      { ...access, CF_ACCESS_CLIENT_SECRET: '0'.repeat(64), UPGATE_TOKEN: token },
      'edge-access, access_token_unknown',
    ],
    [{ ...access, UPGATE_TOKEN: token.replace(/^ugd/, 'ugk') }, 'origin-auth, invalid_credential'],
  ] as const) {
    const refused = node(env)
    expect(await refused.exited).toBe(3)
    expect(refused.output()).toContain(`(${code})`)
    expect(refused.output()).not.toContain('meta=')
    expect(refused.output()).not.toContain(token)
  }
  const half = node({ CF_ACCESS_CLIENT_ID: id, UPGATE_TOKEN: token })
  expect(await half.exited).toBe(2)
  expect(half.output()).toContain('The client secret of the edge is missing')
  const plain = run(command, ['node', 'ws://gateway.example.com/ws'], { ...access, UPGATE_TOKEN: token })
  expect(await plain.exited).toBe(1)
  expect(plain.output()).toContain('edge_secret_over_plain')

  edge.child.kill('SIGINT')
  expect(await edge.exited).toBe(0)
  right.child.kill('SIGINT')
  expect(await right.exited).toBe(130)
  for (const { output } of [edge, right]) expect(output()).not.toContain(token)
})
