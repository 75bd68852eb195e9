import type { MaybePromise, Scheme, Verification } from '../core/credential.ts'
import { assertKnownOptions } from '../core/options.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { RevocationFeed } from '../core/ports/revocations.ts'
import type { Principal, PrincipalKind } from '../core/principal.ts'
import type { AuthRequest } from '../core/request.ts'
import { systemClock } from '../services/system-clock.ts'
import { headerName, notOfThisForm } from './bearer.ts'
import { StandInResponse } from './stand-in-response.ts'

/** Middleware as Express, Connect and passport know it, by its shape. */
export type NodeMiddleware<Request extends object> = (
  request: Request,
  response: never,
  next: (error?: unknown) => void,
) => unknown

/** Who the middleware found. */
export interface MappedPrincipal {
  /** Default: `user`. */
  readonly kind?: PrincipalKind
  readonly id: string
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  /** What revocation by session acts on. */
  readonly sessionId?: string
  /** Milliseconds since the epoch. */
  readonly expiresAt?: number
  readonly displayName?: string
  readonly attributes?: Readonly<Record<string, unknown>>
}

export interface FromMiddlewareOptions {
  /** Default: `middleware`. */
  readonly name?: string
  /** Whether it goes by cookies. Say `false` only for middleware that reads a header alone. Default: true. */
  readonly ambient?: boolean
  /** Header that a middleware that is not ambient reads. Default: `authorization`. */
  readonly header?: string
  /** Milliseconds until middleware that neither goes on nor answers counts as unable to. Default: 10,000. */
  readonly timeout?: number
  readonly clock?: Clock
  /** Told of cookies that the middleware wanted to set: there may be no response to carry them. */
  readonly onSetCookie?: (cookies: readonly string[], request: object) => void
  /** The revocations that end its principals. */
  readonly revocations?: RevocationFeed
}

/**
 * Authenticates with the middleware an application has already, for requests and upgrades alike.
 *
 * It runs on the host's own request with a stand-in response that writes nothing. `map` then says who it was, or
 * `null` for nobody. Middleware that fails, answers by itself or does not come back counts as `unavailable`.
 *
 * @throws TypeError for an unknown option
 * @example
 * fromMiddleware(session({ secret, store }), (request) => request.session.user ?? null)
 */
export function fromMiddleware<Request extends object>(
  middleware: NodeMiddleware<Request>,
  map: (request: Request) => MaybePromise<MappedPrincipal | null | undefined>,
  options: FromMiddlewareOptions = {},
): Scheme {
  assertKnownOptions('fromMiddleware', options, [
    'name',
    'ambient',
    'header',
    'timeout',
    'clock',
    'onSetCookie',
    'revocations',
  ])
  const { name = 'middleware', ambient = true, timeout = 10_000, clock = systemClock, onSetCookie } = options
  if (typeof middleware !== 'function' || typeof map !== 'function') {
    throw new TypeError('fromMiddleware: give it middleware and a function from a request to a principal')
  }
  if (!Number.isInteger(timeout) || timeout < 1 || timeout > 600_000) {
    throw new TypeError('fromMiddleware: `timeout` must be 1 to 600,000 milliseconds')
  }
  if (ambient && options.header !== undefined) {
    throw new TypeError('fromMiddleware: `header` is for middleware with `ambient: false`')
  }
  const location = ambient ? 'cookie' : explicitHeader(options.header)

  function run(request: Request): Promise<string | undefined> {
    return new Promise((resolve) => {
      const timer = clock.setTimer(timeout, () => resolve('the middleware did not come back in time'))
      const done = (problem: string | undefined): void => {
        timer.cancel()
        resolve(problem)
      }
      const response = new StandInResponse(request, () => done('the middleware answered by itself'))
      const next = (error?: unknown): void => {
        if (onSetCookie !== undefined && response.cookies.length > 0) onSetCookie(response.cookies, request)
        // Express takes anything but nothing for an error, `'route'` and `'router'` included.
        done(error === undefined || error === null ? undefined : 'the middleware failed')
      }
      Promise.resolve()
        .then(() => middleware(request, response as never, next))
        .catch(() => done('the middleware failed'))
    })
  }

  return {
    name,
    ambient,
    ...(ambient || location === 'authorization' ? {} : { headers: [location] }),
    extract(request) {
      const value = request.headers[location]
      if (value === undefined || value === '') return undefined
      return { credential: { type: 'opaque', source: 'middleware', name, value: request }, location }
    },
    async verify(credential): Promise<Verification> {
      if (credential.type !== 'opaque' || credential.source !== 'middleware' || credential.name !== name) {
        return notOfThisForm('what the middleware reads')
      }
      const native = (credential.value as AuthRequest).native as Request | undefined
      if (native === undefined) {
        return { outcome: 'unavailable', reason: 'the adapter does not pass the host request on' }
      }
      const problem = await run(native)
      if (problem !== undefined) return { outcome: 'unavailable', reason: problem }
      try {
        const mapped = await map(native)
        if (mapped === null || mapped === undefined) {
          return { outcome: 'rejected', code: 'invalid_credential', reason: 'the middleware found nobody' }
        }
        return principalOf(mapped, name)
      } catch {
        return { outcome: 'unavailable', reason: 'the mapping from request to principal failed' }
      }
    },
    ...(options.revocations === undefined ? {} : { revocations: options.revocations }),
  }
}

function explicitHeader(header = 'authorization'): string {
  return header.toLowerCase() === 'authorization' ? 'authorization' : headerName('fromMiddleware', header)
}

function principalOf(mapped: MappedPrincipal, scheme: string): Verification {
  const { kind = 'user', id, scopes = [], roles = [], attributes = {}, ...rest } = mapped
  // An id that is no id would let revocation and logs take two people for one.
  if (typeof id !== 'string' || id === '') {
    return { outcome: 'unavailable', reason: 'the mapping from request to principal gave no id' }
  }
  const { sessionId, expiresAt, displayName } = rest
  const principal: Principal = Object.freeze({
    kind,
    id,
    scheme,
    scopes: Object.freeze([...scopes]),
    roles: Object.freeze([...roles]),
    attributes: Object.freeze({ ...attributes }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(displayName === undefined ? {} : { displayName }),
  })
  return { outcome: 'authenticated', principal }
}
