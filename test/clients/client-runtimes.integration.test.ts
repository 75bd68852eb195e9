// Needs Node 22 and 24, Bun or Deno: those that .ci/run installs, or those that UPGATE_RUNTIMES names.
/* The client in other runtimes than the one of the tests: over `ws` each verdict is exact, over the global WebSocket each is one that the runtime lets it see. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keptAsDocumented } from './kept-as-documented.ts'
import { needs } from './needs.ts'
import { type RefusingServers, startRefusingServers } from './refusing-servers.ts'

const folder =
  process.env.UPGATE_RUNTIMES ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'upgate', 'nodes', 'node_modules')
const runtimes = [
  { name: 'Node of the tests', binary: process.execPath, args: [] },
  { name: 'Node 22', binary: join(folder, 'node-22', 'bin', 'node'), args: [] },
  { name: 'Node 24', binary: join(folder, 'node-24', 'bin', 'node'), args: [] },
  { name: 'Bun', binary: join(folder, '@oven', 'bun-linux-x64', 'bin', 'bun'), args: [] },
  {
    name: 'Deno',
    binary: join(folder, '@deno', 'linux-x64-glibc', 'deno'),
    args: ['run', '-A', '--no-lock'],
  },
]
const program = fileURLToPath(new URL('runtimes/attempt.mjs', import.meta.url))

/** Verdicts that say as much as the global WebSocket and `fetch` of a runtime let a program see. */
const less: Readonly<Record<string, readonly string[]>> = {
  tcp_refused: ['cross_origin_hidden'],
  http_closed: ['tcp_reset', 'cross_origin_hidden'],
  http_silent: ['cross_origin_hidden'],
}

let servers: RefusingServers
beforeAll(async () => {
  servers = await startRefusingServers()
})
afterAll(() => servers?.close())

// Together: they mostly wait.
describe.concurrent.each(runtimes)('$name', ({ name, binary, args }) => {
  it.skipIf(!needs(name, existsSync(binary), 'UPGATE_REQUIRE_RUNTIMES'))(
    'connects, names each failure, and keeps the connection',
    async () => {
      const { verdicts, kept } = JSON.parse(
        await run(binary, [...args, program, JSON.stringify(servers.attempts)]),
      ) as { verdicts: Record<string, Record<string, string>>; kept: Record<string, unknown> }
      const right = Object.fromEntries(servers.attempts.map((attempt) => [attempt.name, attempt.name]))
      expect(verdicts['@upgate/client']).toEqual(right)
      for (const [wanted, found] of Object.entries(verdicts['@upgate/client/browser'] ?? {})) {
        expect([wanted, ...(less[wanted] ?? [])]).toContain(found)
      }
      expect(kept).toEqual({ '@upgate/client': keptAsDocumented, '@upgate/client/browser': keptAsDocumented })
    },
  )
})

/** The last line that a program prints. */
function run(binary: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      timeout: 110_000,
    })
    let output = ''
    let errors = ''
    child.stdout.on('data', (part) => {
      output += part
    })
    child.stderr.on('data', (part) => {
      errors += part
    })
    child.on('error', reject)
    child.on('close', (code) => {
      const line = output.trim().split('\n').at(-1) ?? ''
      if (code === 0 && line !== '') resolve(line)
      else reject(new Error(`${binary} ended with ${code}: ${errors.slice(-2000)}`))
    })
  })
}
