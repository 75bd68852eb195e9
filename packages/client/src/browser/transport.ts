import type { Probes } from '@upgate/diagnosis'
import { callable, checkAll } from '../check.ts'
import { beginningOf } from '../handshakes/beginning-of.ts'
import type {
  Network,
  ProbeRequest,
  Transport,
  TransportEvents,
  TransportRequest,
  TransportSocket,
} from '../transport.ts'

/** The part of the global `WebSocket` that is used. */
export interface PageSocket {
  binaryType: string
  readonly protocol: string
  send(data: string | Uint8Array): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open' | 'message' | 'error' | 'close', listener: (event: never) => void): void
}

/** A class of such sockets. */
export type PageSocketClass = new (url: string, protocols: string[]) => PageSocket

/** Options of {@link browserTransport}. */
export interface BrowserTransportOptions {
  /** Default: the global one, looked up when a socket is opened. */
  readonly WebSocket?: PageSocketClass
  /** Sends the request that finds out why a socket did not open. Default: the global `fetch`. */
  readonly fetch?: typeof fetch
}

/** Sockets of the global `WebSocket`. It sends no headers, and hides why a socket was refused. */
export function browserTransport(options: BrowserTransportOptions = {}): Transport {
  checkAll('browserTransport', options, {
    WebSocket: {
      is: (value) => typeof value === 'function',
      expected: 'a class of sockets, as the global one',
    },
    fetch: callable,
  })
  const network = pageNetwork()
  return {
    sendsHeaders: false,
    open: (request, events) =>
      open(request, events, options.WebSocket ?? (WebSocket as unknown as PageSocketClass)),
    probe: (request) => probe(request, options.fetch ?? ((...args) => fetch(...args))),
    ...(network !== undefined && { network }),
  }
}

function open(request: TransportRequest, events: TransportEvents, Socket: PageSocketClass): TransportSocket {
  let socket: PageSocket
  let ended = false
  const end = (code: number, reason: string): void => {
    if (ended) return
    ended = true
    events.closed(code, reason)
  }
  try {
    socket = new Socket(request.url, [...request.protocols])
  } catch (error) {
    queueMicrotask(() => {
      const { name, message } = error as Error
      events.observed({ error: { name, message } })
      end(1006, '')
    })
    return { send() {}, close() {}, terminate() {} }
  }
  socket.binaryType = 'arraybuffer'
  socket.addEventListener('open', () => events.opened(socket.protocol))
  socket.addEventListener('message', ({ data }: MessageEvent) => {
    events.message(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer))
  })
  // Some runtimes say more in the error than browsers do, and some never send a close event after it.
  socket.addEventListener('error', ({ message }: { readonly message?: unknown }) => {
    if (typeof message === 'string' && message !== '') events.observed({ error: { message } })
    setTimeout(() => end(1006, ''), 100)
  })
  socket.addEventListener('close', ({ code, reason }: CloseEvent) => end(code, reason))
  return {
    send: (data) => socket.send(data),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.close(),
  }
}

/** Verdicts that come from too little: nothing at all, or the status alone. */
const hidden: ReadonlySet<string> = new Set([
  'browser_hides',
  'redirected',
  'other_server_auth',
  'other_server',
  'edge_error',
  'proxy_over_capacity',
  'proxy_bad_gateway',
  'unknown',
])

/** One credentialed request of the same path: the only way for a page to learn why its socket was refused. */
async function probe({ url, timeout, code }: ProbeRequest, send: typeof fetch): Promise<Probes | undefined> {
  const offline = pageNetwork()?.isOnline() === false
  if (offline) return { offline }
  if (!hidden.has(code)) return undefined
  const target = new URL(url)
  target.protocol = target.protocol === 'wss:' ? 'https:' : 'http:'
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), timeout)
  try {
    const response = await send(target.href, {
      credentials: 'include',
      redirect: 'manual',
      cache: 'no-store',
      signal: abort.signal,
    })
    if (response.type === 'opaqueredirect') return { http: 'redirected' }
    if (response.status === 0) return { http: 'hidden' }
    const headers = Object.fromEntries(response.headers)
    return { http: { status: response.status, headers, body: await beginningOf(response) } }
  } catch (error) {
    // Browsers say no more than that; Node, Bun and Deno name the cause.
    const { code, message } = ((error as { cause?: unknown }).cause ?? error) as {
      code?: unknown
      message?: unknown
    }
    return {
      http: 'hidden',
      ...(typeof code === 'string' && { error: { code, ...(typeof message === 'string' && { message }) } }),
    }
  } finally {
    clearTimeout(timer)
  }
}

function pageNetwork(): Network | undefined {
  if (
    typeof navigator === 'undefined' ||
    typeof navigator.onLine !== 'boolean' ||
    typeof addEventListener !== 'function'
  )
    return undefined
  return {
    isOnline: () => navigator.onLine,
    onChange(callback) {
      addEventListener('online', callback)
      addEventListener('offline', callback)
      return () => {
        removeEventListener('online', callback)
        removeEventListener('offline', callback)
      }
    },
  }
}
