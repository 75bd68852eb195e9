import type { Clock } from './clock.ts'
import type { EdgeRequest } from './edge-request.ts'
import { digest } from './secrets.ts'

/** A secret that arrived where it must never be sent. The secret itself is not recorded. */
export interface Leak {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly host: string
  readonly path: string
  /** Which header carried it. */
  readonly secret: 'cf-access-client-secret' | 'cf-access-token' | 'authorization'
  /**
   * `login_host`: a team's host; `unknown_host`: no host of ours; `followed`: the target of our cross-host
   * redirect.
   */
  readonly reason: 'login_host' | 'unknown_host' | 'followed'
}

/** The watch over secrets that follow redirects. */
export interface Leaks {
  readonly list: readonly Leak[]
  /** Looks at an incoming request. */
  inspect(request: EdgeRequest, kind: 'application' | 'login_host' | 'unknown_host'): void
  /** Remembers that a request which carried secrets was told to go to another host. */
  redirected(request: EdgeRequest, location: string): void
}

const MAX_LEAKS = 1_000
const MAX_PENDING = 1_000
/** A client that follows a redirect does so at once; later visits are visits. */
const FOLLOW_MS = 60_000
const HEADERS = ['cf-access-client-secret', 'cf-access-token', 'authorization'] as const

/** Makes the watch. */
export function createLeaks(clock: Clock): Leaks {
  const list: Leak[] = []
  const pending = new Map<string, number>()

  function secretsOf(request: EdgeRequest): { secret: Leak['secret']; value: string }[] {
    return HEADERS.flatMap((secret) => {
      const value = request.raw.headers[secret]
      return typeof value === 'string' && value !== '' ? [{ secret, value }] : []
    })
  }

  function key(value: string, host: string, path: string): string {
    return `${digest(value).toString('base64')} ${host} ${path}`
  }

  return {
    list,
    inspect(request, kind) {
      for (const { secret, value } of secretsOf(request)) {
        const followed = key(value, request.host, request.path)
        const at = clock.now()
        const until = pending.get(followed)
        pending.delete(followed)
        const reason =
          kind === 'application' ? (until !== undefined && until >= at ? 'followed' : undefined) : kind
        if (reason === undefined) continue
        if (list.length >= MAX_LEAKS) list.shift()
        list.push({ at, host: request.host, path: request.path, secret, reason })
      }
    },
    redirected(request, location) {
      const secrets = secretsOf(request)
      if (secrets.length === 0 || !URL.canParse(location, `https://${request.host}`)) return
      const url = new URL(location, `https://${request.host}`)
      if (url.host === request.host) return
      for (const { value } of secrets) {
        const oldest = pending.size >= MAX_PENDING ? pending.keys().next().value : undefined
        if (oldest !== undefined) pending.delete(oldest)
        pending.set(key(value, url.host, url.pathname), clock.now() + FOLLOW_MS)
      }
    },
  }
}
