/* The program about streams, as printed. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Gate, Services } from 'upgate'
import { afterEach, expect, test } from 'vitest'

const guide = readFileSync(new URL('../../docs/guide-http.md', import.meta.url), 'utf8')
const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0)) await undo()
})

test('the stream of the guide ticks until its credential is revoked, or the server stops', async () => {
  const snippet = /^## Streams.*?^```js\n(.*?)^```/ms.exec(guide)?.[1]
  const folder = mkdtempSync(fileURLToPath(new URL('tmp-', import.meta.url)))
  cleanup.push(() => rmSync(folder, { recursive: true }))
  writeFileSync(
    `${folder}/server.mjs`,
    `
import { createServer } from 'node:http'
import express from 'express'
import { apiKey, createGate, createServices, memoryStore } from 'upgate'
import { expressGate } from 'upgate/express'
import { endStreams, endWithCredential } from 'upgate/node'
export const services = createServices({ store: memoryStore() })
export const gate = createGate({
  schemes: [apiKey({ keys: services.keys })],
  rules: [{ path: '/events', access: 'required', kinds: ['service'] }],
})
const app = express().use(expressGate(gate))
export const server = createServer(app)
${snippet?.replace('1000', '1')}
server.listen(0, '127.0.0.1')
`,
  )
  const before = new Set(process.listeners('SIGTERM'))
  const program = (await import(`${folder}/server.mjs`)) as {
    readonly services: Services
    readonly gate: Gate
    readonly server: Server
  }
  const { services, gate, server } = program
  await once(server, 'listening')
  cleanup.push(() => {
    for (const listener of process.listeners('SIGTERM'))
      if (!before.has(listener)) process.off('SIGTERM', listener)
    server.closeAllConnections()
    server.close()
    return services.close()
  })
  const { port } = server.address() as AddressInfo
  const open = async (token: string) => {
    const headers = { 'x-api-key': token }
    const answer = await fetch(`http://127.0.0.1:${port}/events`, { headers })
    expect(answer.status).toBe(200)
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toContain('data: tick')
    return async () => {
      for (;;) if ((await reader.read()).done) return 'whole'
    }
  }
  const [one, two] = [
    await services.keys.create({ name: 'one' }),
    await services.keys.create({ name: 'two' }),
  ]
  const [first, second] = [await open(one.token), await open(two.token)]
  expect(gate.connections.size).toBe(2)
  await services.keys.revoke(one.id)
  await expect(first()).rejects.toThrow()
  expect(gate.connections.size).toBe(1)
  const [stop] = process.listeners('SIGTERM').filter((listener) => !before.has(listener))
  const closed = once(server, 'close')
  stop?.('SIGTERM')
  await expect(second()).rejects.toThrow()
  server.closeIdleConnections()
  await closed
})
