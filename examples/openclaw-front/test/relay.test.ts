// What passes between an accepted node and the gateway: large messages whole, a slow reader without growing memory.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { newDevice, type StageFront, startStageFront } from './stage/front.ts'
import { type AcceptedSocket, type StageGateway, startGateway } from './stage/gateway.ts'
import { newKey, StageNode } from './stage/node.ts'

const mebibyte = 1024 * 1024

/** Bytes of buffers that are in use, garbage aside. */
function bufferBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  const { arrayBuffers } = process.memoryUsage()
  return arrayBuffers
}

let gateway: StageGateway
let stage: StageFront
beforeAll(async () => {
  gateway = await startGateway()
  stage = await startStageFront(gateway.port)
})
afterAll(async () => {
  await stage.close()
  await gateway.close()
})

async function connected(): Promise<{ node: StageNode; entry: AcceptedSocket }> {
  const { token } = await newDevice(stage.front)
  const node = new StageNode(stage.front.port, newKey())
  const { params, ...request } = await node.request()
  const { device: _, ...rest } = params as Record<string, unknown>
  node.socket.send(JSON.stringify({ ...request, params: { ...rest, auth: { deviceToken: token } } }))
  expect(await node.message()).toMatchObject({ ok: true })
  return { node, entry: gateway.accepted.at(-1) as AcceptedSocket }
}

it('messages of 25 MiB pass in both directions; a longer one ends both sockets', async () => {
  const { node, entry } = await connected()
  const large = Buffer.alloc(25 * mebibyte, 7)
  node.socket.send(large)
  const back = (await node.message()) as Buffer
  expect([entry.messages[0]?.length, back.length]).toEqual([large.length, large.length])
  expect(back.equals(large)).toBe(true)
  node.socket.send(Buffer.alloc(25 * mebibyte + 1))
  expect((await node.closed).code).toBe(1009)
  await expect.poll(() => entry.socket.readyState).toBe(3)
})

it('before it is accepted, a node sends 64 KiB and no more', async () => {
  const node = new StageNode(stage.front.port, newKey())
  await node.challenge
  node.socket.send(Buffer.alloc(70 * 1024))
  expect((await node.closed).code).toBe(1009)
})

it('messages right behind the request arrive once, in order, after it', async () => {
  const { token } = await newDevice(stage.front)
  const node = new StageNode(stage.front.port, newKey())
  const { params, ...request } = await node.request()
  const { device: _, ...rest } = params as Record<string, unknown>
  node.socket.send(JSON.stringify({ ...request, params: { ...rest, auth: { deviceToken: token } } }))
  for (let index = 0; index < 12; index++) node.socket.send(`{"n":${index}}`)
  expect(await node.message()).toMatchObject({ ok: true })
  for (let index = 0; index < 12; index++) expect(await node.message()).toEqual({ n: index })
  node.socket.terminate()
})

it.each(['gateway', 'node'] as const)(
  'a %s that does not read stops the other side, and memory stays flat',
  async (slow) => {
    const { node, entry } = await connected()
    const reader = slow === 'gateway' ? entry.socket : node.socket
    const writer = slow === 'gateway' ? node.socket : entry.socket
    let received = 0
    if (slow === 'gateway') {
      entry.socket.removeAllListeners('message')
      entry.socket.on('message', (data: Buffer) => {
        received += data.length
      })
    } else {
      node.socket.removeAllListeners('message')
      node.socket.on('message', (data: Buffer) => {
        received += data.length
      })
    }
    reader.pause()
    const before = bufferBytes()
    const chunk = Buffer.alloc(mebibyte / 2)
    const total = 400
    let acknowledged = 0
    // The writer of the test keeps its own backlog small, as a process of its own would: what is left is the front's.
    const writing = (async () => {
      for (let index = 0; index < total; index++) {
        await new Promise<void>((resolve) => writer.send(chunk, () => resolve()))
        acknowledged++
      }
    })()
    let seen = -1
    await expect
      .poll(
        () => {
          const still = acknowledged === seen
          seen = acknowledged
          return still
        },
        { interval: 300 },
      )
      .toBe(true)
    const held = bufferBytes() - before
    // 200 MB are to be sent. Measured: both ends and the front together hold 2 to 5 MB of them.
    expect(acknowledged).toBeLessThan(total / 4)
    expect(held).toBeLessThan(12 * mebibyte)
    reader.resume()
    await writing
    await expect.poll(() => received, { timeout: 60_000 }).toBe(total * chunk.length)
    node.socket.terminate()
  },
)
