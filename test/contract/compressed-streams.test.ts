/* `compression()` ends a response later than it is told to: the last words of a stream were cut off with it. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGunzip } from 'node:zlib'
import compression from 'compression'
import express from 'express'
import { createGate } from 'upgate'
import { expressGate } from 'upgate/express'
import { endWithCredential } from 'upgate/node'
import { asPrincipal } from 'upgate/testing'
import { expect, it } from 'vitest'

it('a compressed stream keeps its last words when its session ends', async () => {
  const { scheme, headers: proof } = asPrincipal({ id: 'alice' })
  const gate = createGate({ schemes: [scheme] })
  const app = express()
    .use(compression({ threshold: 0 }))
    .use(expressGate(gate))
  app.get('/events', (incoming, response) => {
    const onEnd = (reason: string): void => void response.end(`event: ended\ndata: ${reason}\n\n`)
    if (!endWithCredential(gate, incoming, response, { onEnd })) return
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: hello\n\n')
    response.flush()
  })
  const server = createServer(app).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  let text = ''
  await new Promise<void>((resolve, reject) => {
    const { port } = server.address() as AddressInfo
    const headers = { ...proof, 'accept-encoding': 'gzip' }
    request({ port, host: '127.0.0.1', path: '/events', headers }, (response) => {
      expect(response.headers['content-encoding']).toBe('gzip')
      response.on('error', reject)
      const plain = response.pipe(createGunzip())
      plain.on('error', reject).on('end', resolve)
      plain.on('data', (data) => {
        text += data
        if (text === 'data: hello\n\n') gate.connections.close({}, 'logged_out')
      })
    }).end()
  })
  expect(text).toBe('data: hello\n\nevent: ended\ndata: logged_out\n\n')
  server.close()
})
