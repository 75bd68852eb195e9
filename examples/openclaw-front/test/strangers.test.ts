// In the mode with the gateway's nonce, a client that proved nothing costs a socket at the gateway. The gateway drops
// all sockets of the front beyond 32 that wait: strangers must neither reach that limit nor lock nodes out.
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { api, logIn, newDevice, type StageFront, startStageFront } from './stage/front.ts'
import { type StageGateway, startGateway } from './stage/gateway.ts'
import { type NodeKey, newKey, StageNode } from './stage/node.ts'

let gateway: StageGateway
let stage: StageFront
const strangers = new Set<WebSocket>()
afterEach(async () => {
  for (const socket of strangers) socket.terminate()
  strangers.clear()
  await stage.close()
  await gateway.close()
})

/** For nodes that get in at once or at the second attempt, in milliseconds, on a machine that a thousand strangers keep busy. */
const soon = 45_000
const auth = { token: 'the-gateways-own-token' }
const from = (address: string) => ({ auth, headers: { 'x-forwarded-for': address } })

/** A client that never says anything, and comes back whenever it is sent away. */
function stranger(address: string): void {
  const socket = new WebSocket(`ws://127.0.0.1:${stage.front.port}/`, {
    headers: { 'x-forwarded-for': address },
  })
  strangers.add(socket)
  socket.on('error', () => {})
  socket.once('close', () => {
    if (strangers.delete(socket)) setTimeout(() => strangers.size > 0 && stranger(address), 1000).unref()
  })
}

async function pair(key: NodeKey, address: string, cookie: string): Promise<void> {
  const asking = new StageNode(stage.front.port, key, from(address))
  const refused = await asking.connect()
  const details = (refused.error as { details: { requestId: string; comparisonCode: string } }).details
  const { comparisonCode, requestId } = details
  await api(stage.front, cookie, 'POST', `pairings/${requestId}/approve`, { comparisonCode })
  asking.socket.terminate()
}

/** Connects as the published client does: again after 1, 2, 4 s. Answers with the milliseconds that it took. */
async function connectPatiently(key: NodeKey, address: string): Promise<number> {
  const since = performance.now()
  for (let pause = 1000; ; pause *= 2) {
    const node = new StageNode(stage.front.port, key, from(address))
    const answer = await Promise.race([node.connect(), node.closed])
    if ('ok' in answer && answer.ok === true) {
      strangers.add(node.socket)
      return performance.now() - since
    }
    node.socket.terminate()
    if (pause > 32_000) return Number.POSITIVE_INFINITY
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

/** Pairs nodes; the first half of them was accepted before. Then the strangers arrive, and stay. */
async function flood(addressOf: (index: number) => string) {
  gateway = await startGateway()
  stage = await startStageFront(gateway.port, { NODES: 'handed-nonce' })
  const cookie = await logIn(stage.front)
  const nodes = await Promise.all(
    Array.from({ length: 8 }, async (_, index) => {
      const node = { key: newKey(), address: `198.51.${index}.1` }
      await pair(node.key, node.address, cookie)
      return node
    }),
  )
  for (const { key, address } of nodes.slice(0, 4)) {
    expect(await connectPatiently(key, address)).toBeLessThan(soon)
  }
  for (const socket of strangers) socket.terminate()
  strangers.clear()
  for (let index = 0; index < 1000; index++) stranger(addressOf(index))
  // At most two thirds of the places are for clients that proved nothing.
  await expect.poll(() => gateway.unaccepted).toBe(16)
  return { known: nodes.slice(0, 4), unknown: nodes.slice(4) }
}
const connectAll = (nodes: readonly { readonly key: NodeKey; readonly address: string }[]) =>
  Promise.all(nodes.map(({ key, address }) => connectPatiently(key, address)))

describe('a thousand silent strangers never fill the limit of the gateway', () => {
  afterEach(() => {
    expect(gateway.mostUnaccepted).toBeLessThanOrEqual(24)
    expect(gateway.refused).toBe(0)
  })

  it('of one network: every node gets in', async () => {
    const { known, unknown } = await flood((index) => `203.0.113.${index % 250}`)
    expect(Math.max(...(await connectAll([...known, ...unknown])))).toBeLessThan(soon)
  })

  it('of a thousand networks: nodes get in that the front has accepted before', async () => {
    const { known } = await flood((index) => `11.${index >> 8}.${index & 255}.7`)
    expect(Math.max(...(await connectAll(known)))).toBeLessThan(soon)
  })

  it('of a hundred networks: new nodes get in as soon as each of these has spent its turn', async () => {
    const { unknown } = await flood((index) => `11.0.${index % 100}.${index % 7}`)
    expect(Math.max(...(await connectAll(unknown)))).toBeLessThan(2 * soon)
  })
})

it('under keys of the front, a thousand strangers cost the gateway nothing', async () => {
  gateway = await startGateway()
  stage = await startStageFront(gateway.port)
  const { token } = await newDevice(stage.front)
  for (let index = 0; index < 1000; index++) stranger(`11.${index >> 8}.${index & 255}.7`)
  // Its key is unknown, its token good.
  const node = new StageNode(stage.front.port, newKey(), { headers: { 'x-forwarded-for': '198.51.1.1' } })
  const { params, ...request } = await node.request()
  const { device: _, ...rest } = params as Record<string, unknown>
  node.socket.send(JSON.stringify({ ...request, params: { ...rest, auth: { deviceToken: token } } }))
  expect(await node.message()).toMatchObject({ ok: true })
  expect(gateway.upgrades).toHaveLength(1)
  node.socket.terminate()
})
