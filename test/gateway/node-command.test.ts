import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../free-port.ts'
import { runNode } from './node.ts'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { loggedIn, type Visitor } from './visitor.ts'

/* `upgate node` as a process against the gateway as a process; packages/cli/test/node.test.ts has the rest. */

let data: DataDir
let program: Program
let visitor: Visitor
let url: string
beforeAll(async () => {
  data = temporaryDataDir()
  // A port that nothing else gets while it restarts.
  program = await startProgram({ dataDir: data.path, env: { PORT: `${await freePort()}` } })
  visitor = await loggedIn(program.origin)
  url = `${program.origin.replace('http', 'ws')}/ws`
})
afterAll(async () => {
  await endAll()
  data.remove()
})

it('connects with a token from the environment or standard input, and ends at a signal', async () => {
  const { id, token } = await visitor.device('from-env')
  const node = runNode([url], { UPGATE_TOKEN: token })
  await node.printed('Accepted as node')
  expect(await visitor.nodes()).toMatchObject([{ id }])
  node.kill('SIGINT')
  expect(await node.exited).toBe(130)
  await expect.poll(() => visitor.nodes()).toEqual([])

  const piped = runNode(['--token-file', '-', url], {}, `${token}\n`)
  await piped.printed('Accepted as node')
  piped.kill('SIGTERM')
  expect(await piped.exited).toBe(130)
  for (const { output } of [node, piped]) {
    expect(output()).toMatch(/ Closed\.\n$/)
    expect(output()).not.toContain(token)
  }
})

it('comes back after the gateway restarts, and stops when its device is revoked', async () => {
  const { id, token } = await visitor.device()
  const node = runNode([url], { UPGATE_TOKEN: token })
  await node.printed('Accepted')
  const { port } = new URL(url)
  expect((await program.stop('SIGTERM')).code).toBe(0)
  await node.printed('Trying again in ')
  program = await startProgram({ dataDir: data.path, env: { PORT: port } })
  await expect.poll(() => node.output().match(/Accepted/g)?.length).toBe(2)
  await visitor.delete(`/api/devices/${id}`)
  expect(await node.exited).toBe(3)
  expect(node.output()).toContain('Next: ')

  const again = runNode([url], { UPGATE_TOKEN: token })
  expect(await again.exited).toBe(3)
  expect(again.output()).toContain('(origin-auth, revoked_credential)')
})

it('says that the gate refused a path without a socket', async () => {
  const { token } = await visitor.device()
  const node = runNode([url.replace('/ws', '/nowhere')], { UPGATE_TOKEN: token })
  expect(await node.exited).toBe(3)
  expect(node.output()).toMatch(/\(origin-auth, auth_required\)/)
})
