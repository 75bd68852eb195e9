import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, it } from 'vitest'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function run(program: string, args: string[], env: Record<string, string>) {
  if (!existsSync(join(dist, program))) throw new Error('The example is not built: npm run build')
  const child = spawn(process.execPath, [join(dist, program), ...args], { env })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  closing.push(() => child.kill('SIGKILL') && exited)
  return {
    child,
    exited,
    output: () => output,
    async printed(pattern: RegExp): Promise<RegExpMatchArray> {
      for (;;) {
        const match = output.match(pattern)
        if (match !== null) return match
        if (child.exitCode !== null) throw new Error(output)
        await Promise.race([once(child.stdout, 'data'), exited])
      }
    },
  }
}

it('runs: a key is made, used, and revoked by another process while its answer is streamed', async () => {
  const upstream = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`data: ${request.headers.authorization}\n\n`)
  }).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  const folder = mkdtempSync(join(tmpdir(), 'upgate-ai-'))
  closing.push(
    () => rmSync(folder, { recursive: true }),
    () => {
      upstream.close()
      upstream.closeAllConnections()
    },
  )
  const env = {
    PORT: '0',
    DATA_DIR: folder,
    UPSTREAM_URL: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/compat`,
    UPSTREAM_TOKEN: 'own',
  }
  const proxy = run('main.js', [], env)
  const [, base = ''] = await proxy.printed(/^AI gateway ready: (\S+),/m)
  const create = run('keys.js', ['create', 'alice'], env)
  expect(await create.exited).toBe(0)
  const [, id = '', key = ''] = create.output().match(/^Key (\S+), shown only now: (\S+)$/m) ?? []

  const answer = await fetch(`${base}/responses`, { headers: { authorization: `Bearer ${key}` } })
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('data: Bearer own\n\n')
  expect(await run('keys.js', ['revoke', id], env).exited).toBe(0)
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toContain('revoked_credential')

  proxy.child.kill('SIGTERM')
  expect(await proxy.exited).toBe(0)
  expect(proxy.output()).not.toContain(key)
})

it('refuses to start without a token for the upstream, and says so in one line', async () => {
  const proxy = run('main.js', [], { UPSTREAM_URL: 'https://api.openai.com/v1' })
  expect(await proxy.exited).toBe(1)
  expect(proxy.output()).toBe(
    'Cannot start: UPSTREAM_TOKEN must be the token that the upstream asks for, without spaces.\n',
  )
})
