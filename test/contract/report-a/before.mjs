import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import express from 'express'
import { WebSocketServer } from 'ws'

const url = 'http://localhost:8787'
const sessions = new Map([['s-of-alice', 'alice']])
const hash = (token) => createHash('sha256').update(String(token)).digest('hex')
const nodes = new Map([[hash('mdt_kitchen-0123456789'), 'kitchen']])
const userOf = (request) => sessions.get(/(?:^|; )sid=([^;]+)/.exec(request.headers.cookie ?? '')?.[1])

const app = express()
app.get('/login', (_request, response) => response.send('please log in'))
app.use((request, response, next) => (userOf(request) ? next() : response.redirect(303, `${url}/login`)))
app.get('/api/nodes', (_request, response) => response.json([...nodes.values()]))

export const server = createServer(app)
server.on('upgrade', (request, socket) => {
  if (!userOf(request)) socket.end(`HTTP/1.1 303 See Other\r\nLocation: ${url}/login\r\n\r\n`)
})
const wss = new WebSocketServer({ server, path: '/ws' })
wss.on('connection', (ws) => {
  ws.once('message', (data) => {
    const { id, params } = JSON.parse(data)
    const node = nodes.get(hash(params.auth.token))
    if (node === undefined) return ws.close(4401, 'bad token')
    ws.send(JSON.stringify({ type: 'res', id, ok: true, payload: { node } }))
    ws.on('message', (message) => ws.send(`echo ${message}`))
  })
})
