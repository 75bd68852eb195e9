import type { Clock, Timer } from './ports/clock.ts'
import { type RevocationReason, type RevocationSelector, selects } from './ports/revocations.ts'
import type { Principal } from './principal.ts'

/** An accepted socket or streamed response, as the register sees it. */
export interface LiveConnection {
  /** Unique in this process, safe to log. */
  readonly id: string
  readonly principal: Principal
  /** Milliseconds since the epoch at which it was accepted. */
  readonly acceptedAt: number
  /** The path it was accepted on, without query. */
  readonly path: string
  /** Ends it at once. Must not throw and may be called more than once. */
  close(reason: RevocationReason): void
}

/** The register of live connections: what revocation and expiry act on. */
export interface Connections {
  /** Adds one and returns its removal. One that has already expired is closed at once. */
  add(connection: LiveConnection): () => void
  /** Closes what the selector concerns; returns how many that were. */
  close(selector: RevocationSelector, reason: RevocationReason): number
  /** A point in time, for {@link Connections.closedSince}. */
  mark(): number
  /**
   * Why a principal's connections were closed since a mark, if they were: a connection accepted after an
   * asynchronous verification asks this, because it was not yet in the register when the revocation came.
   */
  closedSince(mark: number, principal: Principal): RevocationReason | undefined
  /** What is live now, in order of acceptance. */
  list(): IterableIterator<LiveConnection>
  readonly size: number
}

/** Options of {@link createConnections}. */
export interface ConnectionsOptions {
  readonly clock: Clock
}

/** Timers take a signed 32-bit number of milliseconds; beyond it they would fire at once. */
const longestDelay = 2 ** 31 - 1

/** How many closings are remembered; when more happened since a mark, the answer is `revoked`: fail closed. */
const remembered = 1024

interface Entry {
  readonly connection: LiveConnection
  /** Place in the heap of expiries; -1 when it does not expire or has left. */
  place: number
}

/** Most keys have one connection: a set for each would cost more than the connection's entry itself. */
type Index = Map<string, Entry | Set<Entry>>

/**
 * Creates the register of live connections of one process.
 *
 * Lookups by principal, session and credential do not depend on how many connections there are; all expiries
 * share one timer. A connection that the register closes has left it by the time its `close` is called.
 */
export function createConnections(options: ConnectionsOptions): Connections {
  const { clock } = options
  const entries = new Set<Entry>()
  const byPrincipal: Index = new Map()
  const bySession: Index = new Map()
  const byCredential: Index = new Map()
  const heap: Entry[] = []
  const closings: { readonly selector: RevocationSelector; readonly reason: RevocationReason }[] = []
  let closingCount = 0
  let timer: Timer | undefined
  let armedFor = Number.POSITIVE_INFINITY

  function remove(entry: Entry): boolean {
    if (!entries.delete(entry)) return false
    const { principal } = entry.connection
    unindex(byPrincipal, principal.id, entry)
    unindex(bySession, principal.sessionId, entry)
    unindex(byCredential, principal.credentialId, entry)
    if (entry.place >= 0) takeFromHeap(heap, entry)
    if (heap.length === 0) disarm()
    return true
  }

  function disarm(): void {
    timer?.cancel()
    timer = undefined
    armedFor = Number.POSITIVE_INFINITY
  }

  // A timer that is early because its connection has left costs one call: cheaper than re-arming at every removal.
  function arm(): void {
    const first = heap[0]
    if (first === undefined) {
      disarm()
      return
    }
    const at = expiryOf(first)
    if (timer !== undefined && armedFor <= at) return
    timer?.cancel()
    armedFor = at
    timer = clock.setTimer(Math.min(Math.max(at - clock.now(), 0), longestDelay), expire)
  }

  function expire(): void {
    timer = undefined
    armedFor = Number.POSITIVE_INFINITY
    const now = clock.now()
    for (let first = heap[0]; first !== undefined && expiryOf(first) <= now; first = heap[0]) {
      remove(first)
      end(first.connection, 'expired')
    }
    arm()
  }

  function candidates(selector: RevocationSelector): Iterable<Entry> {
    if (selector.credentialId !== undefined) return indexed(byCredential, selector.credentialId)
    if (selector.sessionId !== undefined) return indexed(bySession, selector.sessionId)
    if (selector.principalId !== undefined) return indexed(byPrincipal, selector.principalId)
    return entries
  }

  return {
    add(connection) {
      const { principal } = connection
      const entry: Entry = { connection, place: -1 }
      if (principal.expiresAt !== undefined && !(principal.expiresAt > clock.now())) {
        end(connection, 'expired')
        return () => {}
      }
      entries.add(entry)
      index(byPrincipal, principal.id, entry)
      index(bySession, principal.sessionId, entry)
      index(byCredential, principal.credentialId, entry)
      if (principal.expiresAt !== undefined && Number.isFinite(principal.expiresAt)) {
        entry.place = heap.length
        heap.push(entry)
        rise(heap, entry)
        arm()
      }
      return () => {
        remove(entry)
      }
    },
    close(selector, reason) {
      closings[closingCount++ % remembered] = { selector, reason }
      // Collected first: a connection's `close` may well remove others.
      const concerned: Entry[] = []
      for (const entry of candidates(selector)) {
        if (selects(selector, entry.connection.principal)) concerned.push(entry)
      }
      let closed = 0
      for (const entry of concerned) {
        if (!remove(entry)) continue
        closed++
        end(entry.connection, reason)
      }
      return closed
    },
    mark: () => closingCount,
    closedSince(mark, principal) {
      if (closingCount - mark > remembered) return 'revoked'
      for (let i = mark; i < closingCount; i++) {
        const closing = closings[i % remembered]
        if (closing !== undefined && selects(closing.selector, principal)) return closing.reason
      }
      return undefined
    },
    *list() {
      for (const entry of entries) yield entry.connection
    },
    get size() {
      return entries.size
    },
  }
}

/** One connection that throws must not keep the others, which are revoked as well, open. */
function end(connection: LiveConnection, reason: RevocationReason): void {
  try {
    connection.close(reason)
  } catch {}
}

function index(map: Index, key: string | undefined, entry: Entry): void {
  if (key === undefined) return
  const present = map.get(key)
  if (present === undefined) map.set(key, entry)
  else if (present instanceof Set) present.add(entry)
  else map.set(key, new Set([present, entry]))
}

function unindex(map: Index, key: string | undefined, entry: Entry): void {
  if (key === undefined) return
  const present = map.get(key)
  if (present === entry) map.delete(key)
  else if (present instanceof Set && present.delete(entry) && present.size === 0) map.delete(key)
}

function indexed(map: Index, key: string): Iterable<Entry> {
  const present = map.get(key)
  if (present === undefined) return []
  return present instanceof Set ? present : [present]
}

function expiryOf(entry: Entry): number {
  return entry.connection.principal.expiresAt ?? Number.POSITIVE_INFINITY
}

function put(heap: Entry[], place: number, entry: Entry): void {
  heap[place] = entry
  entry.place = place
}

function rise(heap: Entry[], entry: Entry): void {
  let place = entry.place
  while (place > 0) {
    const above = (place - 1) >> 1
    const parent = heap[above] as Entry
    if (expiryOf(parent) <= expiryOf(entry)) break
    put(heap, place, parent)
    place = above
  }
  put(heap, place, entry)
}

function sink(heap: Entry[], entry: Entry): void {
  let place = entry.place
  for (;;) {
    let below = 2 * place + 1
    const left = heap[below]
    if (left === undefined) break
    const right = heap[below + 1]
    let child = left
    if (right !== undefined && expiryOf(right) < expiryOf(left)) {
      below++
      child = right
    }
    if (expiryOf(entry) <= expiryOf(child)) break
    put(heap, place, child)
    place = below
  }
  put(heap, place, entry)
}

function takeFromHeap(heap: Entry[], entry: Entry): void {
  const place = entry.place
  entry.place = -1
  const last = heap.pop() as Entry
  if (last === entry) return
  put(heap, place, last)
  sink(heap, last)
  rise(heap, last)
}
