import { adviceFor } from 'upgate/protocol'
import { WebSocket } from 'ws'

const {
  CF_ACCESS_CLIENT_ID: id,
  CF_ACCESS_CLIENT_SECRET: secret,
  UPGATE_TOKEN: token = '',
  UPGATE_URL = 'ws://localhost:8788/ws',
} = process.env
const url = new URL(process.argv[2] ?? UPGATE_URL)

if (url.protocol !== 'wss:' && !['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)) {
  console.error(`Secrets go over wss:// only, unless the gateway is on this machine: ${url.origin}`)
  process.exit(2)
}

const socket = new WebSocket(url, {
  // Sent with the upgrade, as with any other request: the edge reads these headers and removes them.
  headers: {
    ...(id && { 'CF-Access-Client-Id': id }),
    ...(secret && { 'CF-Access-Client-Secret': secret }),
  },
  // A redirect is the login page for people: following it would carry the secret there.
  followRedirects: false,
})

socket.on('unexpected-response', (_request, response) => {
  const refusal = response.headers['upgate-refusal']
  const toLogin = String(response.headers.location ?? '').includes('/cdn-cgi/access/login/')
  if (refusal !== undefined)
    console.error(`The gateway refused the upgrade (${response.statusCode}): ${refusal}`)
  else if (toLogin)
    console.error(
      `Cloudflare Access wants a login: ${id && secret ? 'it does not know the service token' : 'no service token was sent'}.`,
    )
  else console.error(`Something in front of the gateway answered ${response.statusCode}.`)
  process.exit(1)
})
socket.on('open', () => {
  console.log('Through the edge, not proved yet: sending the device token in the first frame.')
  const client = { id: 'behind-cloudflare', version: '1', platform: process.platform, mode: 'node' }
  const params = {
    protocol: { min: 3, max: 4 },
    client,
    role: 'node',
    scopes: [],
    auth: { deviceToken: token },
  }
  socket.send(JSON.stringify({ type: 'req', id: 'connect', method: 'connect', params }))
})
socket.on('message', (data) => {
  const message = JSON.parse(String(data))
  if (message.id !== 'connect') return console.log(`< ${JSON.stringify(message)}`)
  if (message.ok) {
    console.log('Accepted as a node.')
    socket.send(JSON.stringify({ type: 'req', id: 'who', method: 'whoami' }))
  } else console.error(`The gateway refused: ${message.error?.message}`)
})
socket.on('error', (error) => console.error(`The connection failed: ${error.message}`))
let leaving = false
socket.on('close', (code, reason) => {
  // The advice of the protocol for a reconnecting client after this close code.
  if (!leaving) console.log(`Closed with ${code} ${reason}; what to do: ${adviceFor(code)}`)
  process.exit(code === 1000 || code === 1001 ? 0 : 1)
})
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    leaving = true
    socket.close(1000)
  })
}
