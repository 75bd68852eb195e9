import { fork } from 'node:child_process'
import { createServer as createHttp2Server } from 'node:http2'
import { connect as open, type Socket } from 'node:net'
import { wsTransport } from '@upgate/client'
import { freePort } from '../../free-port.ts'
import type { Situation, Started } from '../situation.ts'
import { at, failingLookup, loopbackLookup, type Stage } from '../stage.ts'

const url = (text: string): Started => ({ url: text })
/** Long enough to get as far as the silence on a busy machine: twenty situations are tried at a time. */
const silent = { client: { timeout: 6000 }, doctor: { timeout: 6000 } }
const looking = (address: string, lookup: ReturnType<typeof failingLookup>): Started => ({
  url: address,
  client: { transport: wsTransport({ lookup }) },
  doctor: { lookup },
})

/** A port whose queue of connections is full: the system drops what comes next, as a firewall does. */
async function fullPort(stage: Stage): Promise<number> {
  const child = fork(new URL('../full-port.mjs', import.meta.url), { stdio: 'ignore', execArgv: [] })
  stage.later(() => child.kill('SIGKILL'))
  const port = await new Promise<number>((resolve) =>
    child.once('message', (value) => resolve(Number(value))),
  )
  const fillers = Array.from({ length: 8 }, () => open(port, '127.0.0.1').on('error', () => {}))
  stage.later(() => {
    for (const each of fillers) each.destroy()
  })
  // The queue has two places, and the process that should empty it never does.
  await Promise.all(
    fillers.slice(0, 2).map((each) => new Promise((resolve) => each.once('connect', resolve))),
  )
  return port
}

/** Answers every request with these bytes, and does not end. */
const answers = (text: string) => (socket: Socket) => void socket.once('data', () => socket.write(text))

export const beforeHttp: readonly Situation[] = [
  { number: 1, name: 'the scheme is ftp', code: 'url_scheme', start: () => url('ftp://127.0.0.1/ws') },
  {
    number: 2,
    name: 'a fragment in the URL',
    code: 'url_fragment',
    start: () => url('ws://127.0.0.1:1/ws#x'),
  },
  {
    number: 3,
    name: 'no such name',
    code: 'dns_not_found',
    start: () => looking('ws://nowhere.invalid/ws', failingLookup('ENOTFOUND')),
  },
  {
    number: 3,
    name: 'the resolver is out of order',
    code: 'dns_temporary',
    start: () => looking('ws://gateway.invalid/ws', failingLookup('EAI_AGAIN')),
  },
  {
    number: 3,
    name: 'a resolver that does not answer',
    code: 'dns_temporary',
    start: () => {
      const never = looking('ws://gateway.invalid/ws', () => {})
      return {
        ...never,
        client: { ...never.client, timeout: 3000 },
        doctor: { ...never.doctor, timeout: 3000 },
      }
    },
  },
  {
    number: 4,
    name: 'nothing listens on the port',
    code: 'tcp_refused',
    start: async () => url(at(await freePort())),
  },
  {
    number: 5,
    name: 'packets to the port are dropped',
    code: 'tcp_timeout',
    start: async (stage) => ({ url: at(await fullPort(stage)), ...silent }),
  },
  {
    number: 6,
    name: 'a server that says nothing',
    code: 'http_silent',
    start: async (stage) => ({ url: at(await stage.tcp(() => {})), ...silent }),
  },
  {
    number: 7,
    name: 'half a header, then silence',
    code: 'http_stalled',
    start: async (stage) => ({
      url: at(await stage.tcp((socket) => socket.write('HTTP/1.1 101 Switching Proto'))),
      ...silent,
    }),
  },
  {
    number: 8,
    name: 'a reset at once',
    code: 'tcp_reset',
    start: async (stage) => url(at(await stage.tcp((socket) => socket.resetAndDestroy()))),
  },
  {
    number: 9,
    name: 'a regular end before any answer',
    code: 'http_closed',
    start: async (stage) => url(at(await stage.tcp((socket) => socket.once('data', () => socket.end())))),
  },
  {
    number: 10,
    name: 'an SSH server',
    code: 'not_http',
    start: async (stage) => url(at(await stage.tcp((socket) => socket.write('SSH-2.0-OpenSSH_9.9\r\n')))),
  },
  {
    number: 74,
    name: 'headers without an end',
    code: 'answer_headers_too_big',
    start: async (stage) =>
      url(at(await stage.tcp(answers(`HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(20_000)}`)))),
  },
  {
    number: 75,
    name: 'a header that HTTP does not allow',
    code: 'answer_malformed',
    start: async (stage) => url(at(await stage.tcp(answers('HTTP/1.1 200 OK\r\nX A: b\r\n\r\n')))),
  },
  {
    number: 11,
    name: 'a server that speaks HTTP/2 only, without TLS',
    code: 'http2_only',
    start: async (stage) =>
      url(
        at(
          await stage.tcp(
            () => {},
            (listener) => createHttp2Server().on('connection', listener) as never,
          ),
        ),
      ),
  },
  {
    number: 47,
    name: 'a tailnet name that nothing serves',
    code: 'tailscale_down',
    simulated: 'the resolver of the tailnet',
    start: async () => looking(`ws://box.tail1234.ts.net:${await freePort()}/ws`, loopbackLookup),
  },
]
