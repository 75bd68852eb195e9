import type { MaybePromise, Scheme } from '../core/contract/credential.ts'
import { isCallable, wrongArgument } from '../core/options/check-options.ts'
import { fn, optional } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import {
  type Found,
  type FromRequestOptions,
  fromRequestOptions,
  type MappedPrincipal,
  requestScheme,
} from './from-request.ts'
import { StandInResponse } from './stand-in-response.ts'

/** The shape of middleware for Express, Connect and passport. */
export type NodeMiddleware<Request extends object> = (
  request: Request,
  response: never,
  next: (error?: unknown) => void,
) => unknown

/** Options of {@link fromMiddleware}. `name` is `middleware` by default. */
export interface FromMiddlewareOptions extends FromRequestOptions {
  /** Receives the cookies that the middleware wanted to set: there may be no response to carry them. */
  readonly onSetCookie?: (cookies: readonly string[], request: object) => void
}

const table = optionTable<FromMiddlewareOptions>()({
  ...fromRequestOptions.kinds,
  onSetCookie: optional(fn()),
})

/**
 * Authenticates with the application's existing middleware, for requests and upgrades alike.
 *
 * The middleware runs on the host's own request with a stand-in response that writes nothing. `map` then
 * returns the principal, or `null` for none. Middleware that fails, answers by itself or never calls `next`
 * counts as `unavailable`.
 *
 * Properties that the middleware sets on the request are visible to `map` alone and are gone afterwards: the
 * application's own run of the middleware works as if there were no gate, with the real response.
 *
 * @param middleware - such as `session(...)` of express-session
 * @param map - reads the principal from the request after the middleware ran
 * @param options - cookies, time-out and revocations
 * @returns the scheme, for `createGate({ schemes })`
 * @throws TypeError for an unknown option
 * @example
 * fromMiddleware<MyRequest>(session({ secret, store }), (request) => request.session.user ?? null)
 */
export function fromMiddleware<Request extends object>(
  middleware: NodeMiddleware<Request>,
  map: (request: Request) => MaybePromise<MappedPrincipal | null | undefined>,
  options: FromMiddlewareOptions = {},
): Scheme {
  const where = 'fromMiddleware'
  const { onSetCookie, ...given } = table.read(where, options)
  if (!isCallable(middleware))
    throw wrongArgument(where, 'first', 'middleware, as a function (request, response, next)', middleware)
  if (!isCallable(map)) throw wrongArgument(where, 'second', 'a function from a request to a principal', map)

  function run(
    request: Request,
    native: Request,
  ): Promise<(Found & { readonly problem: string }) | undefined> {
    return new Promise((resolve) => {
      const response = new StandInResponse(request, () =>
        resolve({ problem: 'the middleware answered by itself' }),
      )
      const next = (error?: unknown): void => {
        try {
          if (onSetCookie !== undefined && response.cookies.length > 0) onSetCookie(response.cookies, native)
        } catch (cause) {
          // Middleware calls this from any callback, where an exception would not be caught.
          resolve({ problem: '`onSetCookie` failed', cause })
          return
        }
        // Express treats every value but `undefined` and `null` as an error, `'route'` and `'router'`
        // included.
        const failed = error !== undefined && error !== null
        resolve(failed ? { problem: 'the middleware failed', cause: error } : undefined)
      }
      Promise.resolve()
        .then(() => middleware(request, response as never, next))
        .catch((cause: unknown) => resolve({ problem: 'the middleware failed', cause }))
    })
  }

  async function look(native: Request): Promise<Found> {
    // A new shadow of the request each time. A session left on the request would count as current when a
    // revocation restarts the verification. The application's own middleware would take it over too, and
    // could never save it.
    const request = Object.create(native) as Request
    const problem = await run(request, native)
    if (problem !== undefined) return problem
    try {
      return { mapped: await map(request) }
    } catch (cause) {
      return { problem: 'the mapping from request to principal failed', cause }
    }
  }

  return requestScheme(where, look, {
    ...fromRequestOptions.read(where, given),
    name: given.name ?? 'middleware',
  })
}
