import { median, ratios } from '../statistics.mjs'
import { cell, counted, fine, table, whole } from '../table.mjs'

/** @typedef {import('../suite.mjs').Result} Result */

const ways = /** @type {const} */ ([
  ['memory', 'hot', 'memory, few keys in use'],
  ['memory', 'full', 'memory, many keys in use'],
  ['memory', 'uncached', 'memory, not cached'],
  ['sqlite', 'hot', 'SQLite, few keys in use'],
  ['sqlite', 'full', 'SQLite, many keys in use'],
  ['sqlite', 'uncached', 'SQLite, not cached'],
  ['sqlite', 'select', 'SQLite itself: the bare row by id'],
])

const costs = /** @type {const} */ ([
  ['decide', 'a decision by API key, µs', fine],
  ['accept', 'accepting one more socket, server CPU µs', whole],
  ['revoke', 'revoking one device with one socket, µs', whole],
  ['heap', 'heap bytes a socket, free again when it has closed', whole],
])

/** @param {Result} result */
export function reportScale(result) {
  const { settings } = result
  const { sizes, sockets, known, hot, batches, batch, cachedBatch, accepted, more, revoked } = settings
  const byKeys = ways.map(([store, measure, name]) => [
    name,
    ...flatness(
      result,
      sizes.map((/** @type {number} */ size) => `${store} ${size}`),
      measure,
      fine,
    ),
  ])
  const bySockets = costs.map(([measure, name, format]) => [
    name,
    ...flatness(
      result,
      sockets.map((/** @type {number} */ live) => `sockets ${live}`),
      measure,
      format,
    ),
  ])
  const head = (/** @type {string} */ what, /** @type {readonly number[]} */ counts) => [
    what,
    ...counts.map(counted),
  ]
  return `## Scale

Each cell is the cost, and its ratio to that of the smallest count in the same round.

### Credentials

\`decide()\` with an API key, in microseconds, against the number of keys in the store; a fresh process for each, ${batches} alternating batches, median batch. *Few in use*: ${hot} keys in turn, all in the cache. *Many in use*: up to ${counted(known)} keys in random order, as many as a cache of 10,000 entries keeps for certain: this row grows with them, not with those that nobody uses. *Not cached*: the same keys, spread over the whole store, with a cache that keeps none. Batches of ${cachedBatch} where cached, of ${batch} otherwise. The keys in use are put into the store through its port; in SQLite the others are copies within the database.

${table(head('records in, credentials', sizes), byKeys)}

### Live sockets

One server with so many accepted sockets, each of a device of its own, on \`memoryStore()\`. At least ${counted(accepted)} were accepted before, of which the others are closed. Then ${counted(more)} more are accepted, and ${counted(revoked)} of their devices revoked one by one: the time until that is written down and the close frame is on its way.

${table(head('cost, sockets', sockets), bySockets)}`
}

/**
 * @param {Result} result
 * @param {readonly string[]} ids By increasing count
 * @param {string} measure
 * @param {(value: number) => string} format
 */
function flatness({ samples, seed }, ids, measure, format) {
  /** @type {number[] | undefined} */
  let smallest
  return ids.map((id) => {
    const values = samples[id]?.[measure]
    if (values === undefined) return '–'
    const cost = format(median(values))
    if (smallest === undefined) {
      smallest = values
      return cost
    }
    return `${cost}: ${cell(ratios(values, smallest), seed)}`
  })
}
