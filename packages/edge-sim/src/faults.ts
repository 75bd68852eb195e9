import { integer, oneOf, onlyKnown } from './check.ts'
import type { EdgeRequest } from './edge-request.ts'
import { isUnder } from './target.ts'

/** Which requests a fault hits: all conditions given must hold; none given = every request. */
export interface FaultMatch {
  /** Host names, without port. */
  readonly hosts?: readonly string[]
  /** Paths, with all that is below them by whole segments. */
  readonly paths?: readonly string[]
  readonly methods?: readonly string[]
  /** Parts of the user agent, case-insensitive; the empty string stands for a missing one. */
  readonly userAgents?: readonly string[]
  /** Client addresses, as simulated. */
  readonly addresses?: readonly string[]
  /** Only WebSocket upgrades (`true`) or only plain HTTP (`false`). */
  readonly upgrade?: boolean
}

interface Common {
  readonly when?: FaultMatch
  /** How many requests it hits before it ends. Default: without limit. */
  readonly times?: number
}

/** Something that goes wrong at the edge or behind it. */
export type Fault = Common &
  (
    | { readonly kind: 'rate-limit'; readonly retryAfter?: number }
    | { readonly kind: 'browser-signature' | 'waf' | 'waf-unmarked' }
    | { readonly kind: 'challenge'; readonly status?: 403 | 503 }
    | { readonly kind: 'tunnel-down' | 'origin-dns' | 'bad-gateway' | 'origin-timeout' }
    | { readonly kind: 'origin-error'; readonly status: 521 | 522 | 523 | 524 | 525 | 526 }
    | { readonly kind: 'worker-crash' | 'worker-limits' }
    | { readonly kind: 'drop-upgrade' }
    | { readonly kind: 'reset'; readonly afterBytes?: number }
    | { readonly kind: 'jwks'; readonly mode: 'error' | 'silence' | 'redirect' | 'oversize' | 'html' }
  )

/** Every kind of fault. */
export type FaultKind = Fault['kind']

/** The effects of faults on a forwarded request. */
export interface OriginEffects {
  readonly dropUpgrade: boolean
  /** Cuts the connection after this many bytes of the origin's answer. */
  readonly resetAfterBytes: number | undefined
}

/** The faults that are switched on. */
export interface Faults {
  /** Switches a fault on; the function answered switches it off again. */
  add(fault: Fault): () => void
  clear(): void
  /** The first live fault of one of these kinds that hits the request; counts as one hit. */
  hit<K extends FaultKind>(request: EdgeRequest, kinds: readonly K[]): Extract<Fault, { kind: K }> | undefined
}

/** All kinds of faults, in the order of the documentation. */
export const FAULT_KINDS: readonly FaultKind[] = [
  'rate-limit',
  'browser-signature',
  'waf',
  'waf-unmarked',
  'challenge',
  'tunnel-down',
  'origin-dns',
  'bad-gateway',
  'origin-timeout',
  'origin-error',
  'worker-crash',
  'worker-limits',
  'drop-upgrade',
  'reset',
  'jwks',
]

const MAX_FAULTS = 100
const EXTRA: Readonly<Partial<Record<FaultKind, string>>> = {
  'rate-limit': 'retryAfter',
  challenge: 'status',
  'origin-error': 'status',
  reset: 'afterBytes',
  jwks: 'mode',
}

function check(fault: Fault): void {
  if (typeof fault !== 'object' || fault === null) throw new TypeError('fault must be an object')
  oneOf('fault.kind', fault.kind, FAULT_KINDS)
  const extra = EXTRA[fault.kind]
  onlyKnown('fault', fault, ['kind', 'when', 'times', ...(extra === undefined ? [] : [extra])])
  if (fault.times !== undefined) integer('fault.times', fault.times, 1, 1_000_000)
  if (fault.kind === 'rate-limit') integer('fault.retryAfter', fault.retryAfter ?? 30, 0, 86_400)
  if (fault.kind === 'challenge') oneOf('fault.status', String(fault.status ?? 403), ['403', '503'])
  if (fault.kind === 'origin-error') integer('fault.status', fault.status, 521, 526)
  if (fault.kind === 'reset') integer('fault.afterBytes', fault.afterBytes ?? 0, 0, 2 ** 31)
  if (fault.kind === 'jwks')
    oneOf('fault.mode', fault.mode, ['error', 'silence', 'redirect', 'oversize', 'html'])
  const { when = {} } = fault
  const lists = ['hosts', 'paths', 'methods', 'userAgents', 'addresses'] as const
  onlyKnown('fault.when', when, [...lists, 'upgrade'])
  for (const name of lists) {
    const list: unknown = when[name] ?? []
    if (!Array.isArray(list) || list.some((entry) => typeof entry !== 'string')) {
      throw new TypeError(`fault.when.${name} must be an array of strings`)
    }
  }
}

function hits(when: FaultMatch, request: EdgeRequest): boolean {
  const agent = request.userAgent.toLowerCase()
  const named = (part: string): boolean => (part === '' ? agent === '' : agent.includes(part.toLowerCase()))
  return (
    (when.hosts?.includes(request.hostname) ?? true) &&
    (when.paths?.some((path) => isUnder(request.path, path)) ?? true) &&
    (when.methods?.includes(request.method) ?? true) &&
    (when.userAgents?.some(named) ?? true) &&
    (when.addresses?.includes(request.address) ?? true) &&
    (when.upgrade === undefined || when.upgrade === request.upgrade)
  )
}

/** Makes the register of faults. Bad faults throw a `TypeError` that names the field. */
export function createFaults(): Faults {
  const live = new Map<symbol, { fault: Fault; left: number }>()
  return {
    add(fault) {
      check(fault)
      if (live.size >= MAX_FAULTS) throw new TypeError(`at most ${MAX_FAULTS} faults can be on at a time`)
      const id = Symbol(fault.kind)
      live.set(id, { fault: structuredClone(fault), left: fault.times ?? Number.POSITIVE_INFINITY })
      return () => void live.delete(id)
    },
    clear: () => live.clear(),
    hit<K extends FaultKind>(request: EdgeRequest, kinds: readonly K[]) {
      for (const [id, entry] of live) {
        const { fault } = entry
        if (!(kinds as readonly string[]).includes(fault.kind) || !hits(fault.when ?? {}, request)) continue
        entry.left -= 1
        if (entry.left <= 0) live.delete(id)
        return fault as Extract<Fault, { kind: K }>
      }
      return undefined
    },
  }
}
