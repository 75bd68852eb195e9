import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { validateConnectParams, validateNodeEventParams } from '@openclaw/gateway-protocol'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { loggedIn } from './visitor.ts'

/* The example gateway as a node of an OpenClaw gateway: a stand-in that takes what OpenClaw's published validators take. */

let data: DataDir
let here: Program
let other: WebSocketServer
const sockets: WebSocket[] = []
/** What arrived: method, and whether the validators take its parameters. */
let received: { method: string; fits: unknown; auth: unknown }[]

interface Request {
  readonly id: string
  readonly method: string
  readonly params: { readonly auth?: object }
}

beforeEach(async () => {
  data = temporaryDataDir()
  received = []
  here = await startProgram({ dataDir: data.path, env: { REMOTE_ALLOW: 'loopback' } })
  other = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(other, 'listening')
  other.on('connection', (socket) => {
    sockets.push(socket)
    socket.send(
      JSON.stringify({
        type: 'event',
        event: 'connect.challenge',
        payload: { nonce: 'a-nonce', ts: Date.now() },
      }),
    )
    socket.on('message', (text) => {
      const { id, method, params } = JSON.parse(String(text)) as Request
      const validate = method === 'connect' ? validateConnectParams : validateNodeEventParams
      received.push({ method, fits: validate(params) || validate.errors, auth: params.auth })
      const auth = { deviceToken: 'a-token-of-the-other-gateway', role: 'node', scopes: [] }
      const payload =
        method === 'connect'
          ? { type: 'hello-ok', protocol: 4, auth, snapshot: { health: 'x'.repeat(300_000) } }
          : {}
      socket.send(JSON.stringify({ type: 'res', id, ok: true, payload }))
    })
  })
})
afterEach(async () => {
  await endAll()
  for (const socket of sockets.splice(0)) socket.terminate()
  other.close()
  data.remove()
})

it('connects with the shared token, follows its session, and comes back with the token that it was given', async () => {
  const ada = await loggedIn(here.origin)
  const { port } = other.address() as AddressInfo
  const set = await ada.post('/api/remote', {
    url: `ws://127.0.0.1:${port}/`,
    token: 'the-shared-token',
    sessionKey: 'agent:main:main',
  })
  expect(set.status).toBe(202)
  await expect
    .poll(() => received)
    .toEqual([
      { method: 'connect', fits: true, auth: { token: 'the-shared-token', deviceToken: 'the-shared-token' } },
      { method: 'node.event', fits: true, auth: undefined },
    ])
  await expect
    .poll(async () => (await ada.get('/api/remote')).json())
    .toMatchObject({ state: 'connected', paired: true })
  received = []
  await here.stop('SIGKILL')
  here = await startProgram({ dataDir: data.path, env: { REMOTE_ALLOW: 'loopback' } })
  const token = 'a-token-of-the-other-gateway'
  await expect
    .poll(() => received[0])
    .toEqual({ method: 'connect', fits: true, auth: { token, deviceToken: token } })
})
