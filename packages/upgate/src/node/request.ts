import { type IncomingMessage, METHODS } from 'node:http'
import type { AuthRequest, HeaderRecord } from '../core/contract/request.ts'
import { withoutRaw } from '../core/request/hidden-headers.ts'
import { pathOf } from '../core/request/target.ts'

const knownMethods: ReadonlySet<string> = new Set(METHODS)

/**
 * An `AuthRequest` over Node's own request. Nothing is copied, and what a decision does not look at is not
 * computed: the peer's address costs a system call per socket, the header object is built on first use.
 */
export class NodeRequest implements AuthRequest {
  readonly kind: 'http' | 'upgrade'
  readonly target: string
  readonly rewrittenTarget: string | undefined
  readonly native: IncomingMessage
  /** Node builds them for each request of HTTP/1.1 before any listener runs. */
  readonly headers: HeaderRecord

  /** `target` is the request-target as received; `rewrittenTarget` the form a router sees, where that differs. */
  constructor(kind: 'http' | 'upgrade', native: IncomingMessage, target?: string, rewrittenTarget?: string) {
    this.kind = kind
    this.native = native
    this.headers = native.headers
    this.target = target ?? native.url ?? ''
    this.rewrittenTarget = rewrittenTarget
  }

  /**
   * Empty, which no gate lets in, where it is no method that Node lets in: then a middleware has set it, rules have
   * no word for it, and routers read it in ways of their own (Express in lower case, `all` takes any).
   */
  get method(): string {
    const { method = '' } = this.native
    return method === 'GET' || method === 'POST' || knownMethods.has(method) ? method : ''
  }

  get rawHeaders(): readonly string[] {
    return this.native.rawHeaders
  }

  get peerAddress(): string | undefined {
    // From the request's socket: an `upgrade` event may hand out a bare Duplex, and injected requests have none.
    return this.native.socket?.remoteAddress
  }

  get socketPath(): string | undefined {
    if (this.peerAddress !== undefined) return undefined
    // Node keeps the server on each of its sockets; a server on a Unix socket has its path for an address.
    const { server } = (this.native.socket ?? {}) as { server?: { address?(): unknown } }
    const address = server?.address?.()
    return typeof address === 'string' ? address : undefined
  }

  get encrypted(): boolean {
    return (this.native.socket as { encrypted?: boolean } | undefined)?.encrypted === true
  }

  remove(isHidden: (name: string) => boolean): void {
    const { native } = this
    for (const headers of [native.headers, native.headersDistinct ?? {}]) {
      for (const name of Object.keys(headers)) if (isHidden(name)) delete headers[name]
    }
    const kept = withoutRaw(native.rawHeaders, isHidden)
    // In place: requests of HTTP/2 have no other list to set.
    native.rawHeaders.splice(0, native.rawHeaders.length, ...kept)
  }

  without(isHidden: (name: string) => boolean): NodeRequest {
    const { native } = this
    const shown = (headers: object): PropertyDescriptor => ({
      value: Object.fromEntries(Object.entries(headers).filter(([name]) => !isHidden(name))),
      writable: true,
      configurable: true,
      enumerable: true,
    })
    const copy = Object.create(native, {
      headers: shown(native.headers),
      headersDistinct: shown(native.headersDistinct ?? {}),
      rawHeaders: { ...shown({}), value: withoutRaw(native.rawHeaders, isHidden) },
    }) as IncomingMessage
    return new NodeRequest(this.kind, copy, this.target, this.rewrittenTarget)
  }
}

/**
 * Which rules a request object is under. Node marks those that came in by the `upgrade` event; wrappers around
 * sockets hand them to an application as if they were a GET.
 */
export function kindOf(native: IncomingMessage): 'http' | 'upgrade' {
  const { upgrade } = native as { upgrade?: boolean | null }
  return upgrade === true && native.method !== 'CONNECT' ? 'upgrade' : 'http'
}

/**
 * The form of the target a router sees behind a mount, if it differs from the received target.
 *
 * Undoing the mount (`base` + `url`) must give the received target again; if it does not, a middleware rewrote the
 * URL, and both forms have to be decided.
 *
 * @returns the second form, or `undefined` when there is none
 */
export function rewrittenForm(received: string, base: string, url: string): string | undefined {
  if (url === received && base === '') return undefined
  const path = pathOf(url)
  const receivedPath = pathOf(received)
  // Absolute-form: routers strip the mount from behind the authority.
  const at = path.charCodeAt(0) === 0x2f ? 0 : authorityLength(path)
  const whole = path.slice(0, at) + base + path.slice(at)
  if (whole === receivedPath) return undefined
  // A mount that took the whole path leaves `/` where nothing was.
  if (path === '/' && base === receivedPath) return undefined
  return whole + url.slice(path.length)
}

function authorityLength(path: string): number {
  const slash = path.indexOf('/', path.indexOf('://') + 3)
  return slash === -1 ? path.length : slash
}
