import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { loggedIn, type Visitor } from './visitor.ts'

const entry = fileURLToPath(new URL('../../examples/gateway/dist/node-client.js', import.meta.url))

let data: DataDir
let program: Program
let visitor: Visitor
let url: string
beforeAll(async () => {
  data = temporaryDataDir()
  program = await startProgram({ dataDir: data.path })
  visitor = await loggedIn(program.origin)
  url = `${program.origin.replace('http', 'ws')}/ws`
}, 60_000)
afterAll(async () => {
  await endAll()
  data.remove()
})

function run(args: readonly string[], env: Record<string, string> = {}, input?: string) {
  const child = spawn(process.execPath, [entry, ...args], {
    cwd: tmpdir(),
    env: { PATH: process.env.PATH, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  child.stdin.end(input)
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    output: () => output,
    exited,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    printed: (text: string) => expect.poll(() => output, { timeout: 10_000 }).toContain(text),
  }
}

it('connects with a token from the environment, and leaves with exit code 0', async () => {
  const { id, token } = await visitor.device('from-env')
  const node = run([url], { UPGATE_TOKEN: token })
  await node.printed('Accepted as node.')
  await node.printed('"name":"from-env"')
  expect(await visitor.nodes()).toMatchObject([{ id }])
  node.kill('SIGINT')
  expect(await node.exited).toBe(0)
  expect(node.output()).not.toContain(token)
  expect(node.output()).not.toContain('Trying again')
  await expect.poll(() => visitor.nodes()).toEqual([])
})

it('takes a token from standard input, and warns of one on the command line', async () => {
  const { token } = await visitor.device('piped')
  const piped = run(['--token-stdin', url], {}, `${token}\n`)
  await piped.printed('Accepted as node.')
  expect(piped.output()).not.toContain('Warning')
  const argued = run(['--token', token, url])
  await argued.printed('Accepted as node.')
  expect(argued.output()).toContain('Warning: The token stands on the command line')
  for (const node of [piped, argued]) {
    node.kill('SIGTERM')
    expect(await node.exited).toBe(0)
  }
})

it('stops if trying again is useless, and prints the reason', async () => {
  const { id, token } = await visitor.device()
  const node = run([url], { UPGATE_TOKEN: token })
  await node.printed('Accepted')
  await visitor.delete(`/api/devices/${id}`)
  expect(await node.exited).toBe(1)
  expect(node.output()).toContain('Closed with 4403, revoked: this device may not be connected any more.')

  const again = run([url], { UPGATE_TOKEN: token })
  expect(await again.exited).toBe(1)
  expect(again.output()).toContain('Refused (revoked_credential): The credential was revoked.')
  expect(again.output()).toContain('What to do: ')
})

it('tries again if no server answers', async () => {
  const node = run(['ws://127.0.0.1:9/ws'], { UPGATE_TOKEN: 'ugd_x' })
  await node.printed('Trying again in ')
  node.kill('SIGTERM')
  expect(await node.exited).toBe(0)
  const once = run(['--once', 'ws://127.0.0.1:9/ws'], { UPGATE_TOKEN: 'ugd_x' })
  expect(await once.exited).toBe(1)
  expect(once.output()).toContain('The connection failed: connect ECONNREFUSED 127.0.0.1:9.')
})

it('reports an answer of another server', async () => {
  const other = createServer()
  other.on('upgrade', (_request, socket) => {
    socket.end('HTTP/1.1 302 Found\r\nLocation: https://login.example.com/\r\nContent-Length: 0\r\n\r\n')
  })
  other.listen(0, '127.0.0.1')
  await new Promise((resolve) => other.once('listening', resolve))
  const node = run([`ws://127.0.0.1:${(other.address() as { port: number }).port}/ws`], {
    UPGATE_TOKEN: 'ugd_x',
  })
  expect(await node.exited).toBe(1)
  other.close()
  expect(node.output()).toContain('Something that is not an Upgate gateway answered 302')
  expect(node.output()).toContain('It redirects to https://login.example.com/.')

  const wrongPath = run([url.replace('/ws', '/nowhere')], { UPGATE_TOKEN: 'ugd_x' })
  expect(await wrongPath.exited).toBe(1)
  expect(wrongPath.output()).toContain('The gateway answered 401 instead of upgrading')
})

it.each<[string, readonly string[], RegExp]>([
  ['no token', [], /There is no token/],
  ['two sources', ['--token', 'x', '--token-stdin'], /not both/],
  ['an unknown option', ['--tokn', 'x'], /--tokn/],
  ['a bad URL', ['--token', 'x', 'nonsense'], /The URL cannot be read/],
  [
    'a secret in the URL',
    ['--token', 'x', 'ws://user:secret@127.0.0.1/ws'],
    /must not carry a user or password/,
  ],
])('exits with 2 for a wrong command line: %s', async (_what, args, sentence) => {
  const node = run(args)
  expect(await node.exited).toBe(2)
  expect(node.output()).toMatch(sentence)
  expect(node.output()).not.toContain('secret@')
})

it('prints a help text', async () => {
  const node = run(['--help'])
  expect(await node.exited).toBe(0)
  expect(node.output()).toContain('--token-stdin')
})
