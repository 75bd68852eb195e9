import type { Connections, LiveConnection } from '../contract/connections.ts'
import type { Principal } from '../contract/principal.ts'
import type { Clock, Timer } from '../ports/clock.ts'
import type { RevocationReason } from '../ports/revocations.ts'
import { PrincipalIndex } from './principal-index.ts'
import type { RevocationWindow } from './revocation-window.ts'
import { createSlices } from './slices.ts'

/** Options of {@link createConnections}. */
export interface ConnectionsOptions {
  readonly clock: Clock
  /** Where closings are recorded, and what a registration is checked against. */
  readonly window: RevocationWindow
}

/** Timers take a signed 32-bit number of milliseconds; beyond it they would fire at once. */
const longestDelay = 2 ** 31 - 1

/** Live; no longer so, and about to be closed; or over. */
type Stage = 'live' | 'ending' | 'over'

/** Its own registration, with `remove` made when it is asked for: an object for each connection less, or two. */
class Entry {
  readonly connection: LiveConnection
  readonly principal: Principal
  /** Place in the heap of expiries; -1 when it does not expire or has left. */
  place = -1
  stage: Stage = 'live'
  readonly #take: (entry: Entry) => void

  constructor(connection: LiveConnection, take: (entry: Entry) => void) {
    this.connection = connection
    this.principal = connection.principal
    this.#take = take
  }

  get outcome(): 'registered' {
    return 'registered'
  }

  /** Bound: callers hand it on as it is. */
  get remove(): () => void {
    return () => this.#take(this)
  }
}

/**
 * Creates the register of live connections of one process.
 *
 * Lookups by principal, session and credential do not depend on how many connections there are; all expiries
 * share one timer. A connection that the register closes has left it by the time its `close` is called, and closing
 * very many holds nothing up.
 */
export function createConnections(options: ConnectionsOptions): Connections {
  const { clock, window } = options
  const entries = new Set<Entry>()
  const index = new PrincipalIndex<Entry>()
  const heap: Entry[] = []
  const slice = createSlices(clock)
  let size = 0
  let timer: Timer | undefined
  let armedFor = Number.POSITIVE_INFINITY

  function unlist(entry: Entry): void {
    entries.delete(entry)
    index.delete(entry)
    if (entry.place >= 0) takeFromHeap(heap, entry)
    if (heap.length === 0) disarm()
  }

  function remove(entry: Entry): void {
    if (entry.stage === 'over') return
    if (entry.stage === 'live') size--
    entry.stage = 'over'
    unlist(entry)
  }

  /** All stop counting now; taking them off the lists and closing them is what takes time. */
  function end(concerned: readonly Entry[], reason: RevocationReason): void {
    const since = clock.now()
    size -= concerned.length
    for (const entry of concerned) entry.stage = 'ending'
    for (const { connection } of concerned) mute(connection, reason)
    const close = (entry: Entry): void => {
      if (entry.stage === 'over') return
      entry.stage = 'over'
      unlist(entry)
      if (entry.connection.mute !== undefined) closeNow(entry.connection, reason)
    }
    slice(concerned, close, since)
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
    const due: Entry[] = []
    for (let first = heap[0]; first !== undefined && expiryOf(first) <= now; first = heap[0]) {
      takeFromHeap(heap, first)
      if (first.stage === 'live') due.push(first)
    }
    end(due, 'expired')
    arm()
  }

  return {
    register(connection, decided) {
      const { principal } = connection
      const revoked = window.since(decided, principal)
      if (revoked !== undefined) return { outcome: 'refused', reason: revoked }
      if (principal.expiresAt !== undefined && !(principal.expiresAt > clock.now())) {
        return { outcome: 'refused', reason: 'expired' }
      }
      const entry = new Entry(connection, remove)
      size++
      entries.add(entry)
      index.add(entry)
      if (principal.expiresAt !== undefined && Number.isFinite(principal.expiresAt)) {
        entry.place = heap.length
        heap.push(entry)
        rise(heap, entry)
        arm()
      }
      return entry
    },
    close(selector, reason) {
      window.record(selector, reason)
      const concerned = index.concernedBy(selector, entries).filter(({ stage }) => stage === 'live')
      end(concerned, reason)
      return concerned.length
    },
    *list() {
      for (const { connection, stage } of entries) if (stage === 'live') yield connection
    },
    get size() {
      return size
    },
  }
}

/** One connection that throws must not keep the others, which are revoked as well, open. */
function closeNow(connection: LiveConnection, reason: RevocationReason): void {
  try {
    connection.close(reason)
  } catch {}
}

/** A connection that cannot be silenced is closed at once. */
function mute(connection: LiveConnection, reason: RevocationReason): void {
  try {
    if (connection.mute === undefined) connection.close(reason)
    else connection.mute(reason)
  } catch {
    closeNow(connection, reason)
  }
}

function expiryOf(entry: Entry): number {
  return entry.principal.expiresAt ?? Number.POSITIVE_INFINITY
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
