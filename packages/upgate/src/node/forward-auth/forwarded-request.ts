import type { IncomingMessage } from 'node:http'
import type { Refused } from '../../core/contract/decision.ts'
import { refuse } from '../../core/contract/refusals.ts'
import { withoutRaw } from '../../core/request/hidden-headers.ts'
import { NodeRequest } from '../request.ts'
import type { AskingProxy } from './options.ts'

/** The headers that say what the original request is, each with the line by which the proxy sends it. */
type Lines = Readonly<Record<'method' | 'uri' | 'host' | 'proto', readonly [name: string, line: string]>>

const fromNginx: Lines = {
  method: ['x-original-method', 'proxy_set_header X-Original-Method $request_method;'],
  uri: ['x-original-uri', 'proxy_set_header X-Original-URI $request_uri;'],
  host: ['x-forwarded-host', 'proxy_set_header X-Forwarded-Host $http_host;'],
  proto: ['x-forwarded-proto', 'proxy_set_header X-Forwarded-Proto $scheme;'],
}
const fromCaddy: Lines = {
  method: ['x-forwarded-method', 'header_up X-Forwarded-Method {method}'],
  uri: ['x-forwarded-uri', 'header_up X-Forwarded-Uri {uri}'],
  host: ['x-forwarded-host', 'header_up X-Forwarded-Host {hostport}'],
  proto: ['x-forwarded-proto', 'header_up X-Forwarded-Proto {scheme}'],
}
const byMiddleware = 'a `forwardAuth` middleware, which sends it by itself'
const fromTraefik: Lines = {
  method: ['x-forwarded-method', byMiddleware],
  uri: ['x-forwarded-uri', byMiddleware],
  host: ['x-forwarded-host', byMiddleware],
  proto: ['x-forwarded-proto', byMiddleware],
}
const linesOf: Readonly<Record<AskingProxy, Lines>> = {
  nginx: fromNginx,
  caddy: fromCaddy,
  traefik: fromTraefik,
}

/** The original request, as the proxy describes it. `native` is the proxy's own request under its method and target. */
export class ForwardedRequest extends NodeRequest {
  readonly #secure: boolean

  constructor(native: IncomingMessage, target: string, secure: boolean) {
    super('http', native, target)
    this.#secure = secure
  }

  override get encrypted(): boolean {
    return this.#secure
  }

  override without(isHidden: (name: string) => boolean): ForwardedRequest {
    return new ForwardedRequest(super.without(isHidden).native, this.target, this.#secure)
  }
}

/**
 * Reads the original request off a proxy's question. Nothing is guessed: each of the four headers must be there once.
 *
 * @returns the request, or the refusal of the question
 */
export function readForwarded(asked: IncomingMessage, proxy: AskingProxy): ForwardedRequest | Refused {
  const lines = linesOf[proxy]
  const found: Record<string, string> = {}
  for (const [fact, [name, line]] of Object.entries(lines)) {
    const values = valuesOf(asked, name)
    const [value] = values
    if (value === undefined || value === '') {
      return refuse('malformed_target', {
        detail: `The question of the proxy has no ${name}.`,
        action: `Add it to the configuration of the proxy: ${line}.`,
      })
    }
    if (values.length > 1) {
      return refuse('duplicate_header', {
        detail: `The question of the proxy has ${name} more than once.`,
        action: `Let the proxy replace what clients send: ${line}.`,
      })
    }
    found[fact] = value
  }
  const { method = '', uri = '', host = '', proto = '' } = found
  if (!/^(?:https?|wss?)$/.test(proto)) return malformed('x-forwarded-proto', 'http, https, ws or wss')
  // RFC 3986 section 3.2.2, without user information.
  if (!/^(?:[a-z\d._~%!$&'()*+;=-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host)) {
    return malformed('x-forwarded-host', 'one host, with its port if it has one')
  }
  const restored = upgradeOf(asked)
  // An empty length is the one of the question, not of the original request.
  const isOld = (name: string): boolean =>
    name === 'host' ||
    (name === 'content-length' && asked.headers['content-length'] === '0') ||
    Object.hasOwn(restored, name)
  const headers = Object.fromEntries(Object.entries(asked.headers).filter(([name]) => !isOld(name)))
  const distinct = Object.entries(asked.headersDistinct).filter(([name]) => !isOld(name))
  const native = Object.create(
    asked,
    fields({
      method,
      url: uri,
      headers: { ...headers, ...restored, host },
      headersDistinct: {
        ...Object.fromEntries(distinct),
        ...Object.fromEntries(Object.entries(restored).map(([name, value]) => [name, [value]])),
        host: [host],
      },
      rawHeaders: [...withoutRaw(asked.rawHeaders, isOld), ...Object.entries(restored).flat(), 'Host', host],
    }),
  ) as IncomingMessage
  return new ForwardedRequest(native, uri, proto === 'https' || proto === 'wss')
}

/**
 * What a question about a WebSocket has lost: Traefik removes `Upgrade` and `Connection` from questions and passes them on with
 * the request, and other proxies send them only where they are told to. Decided as the GET that is left, a WebSocket would get
 * past the rules for upgrades, and the cookie of a foreign page would count. A client that sends such headers with a plain
 * request gets the stricter of both decisions.
 */
function upgradeOf({ headers }: IncomingMessage): Readonly<Record<string, string>> {
  const isSocket = Object.keys(headers).some((name) => name.startsWith('sec-websocket-'))
  return isSocket && headers.upgrade === undefined ? { upgrade: 'websocket', connection: 'Upgrade' } : {}
}

function malformed(name: string, expected: string): Refused {
  return refuse('malformed_target', { detail: `${name} of the proxy's question is not ${expected}.` })
}

function fields(values: Readonly<Record<string, unknown>>): PropertyDescriptorMap {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      { value, writable: true, configurable: true, enumerable: true },
    ]),
  )
}

function valuesOf({ rawHeaders }: IncomingMessage, wanted: string): readonly string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === wanted)
}
