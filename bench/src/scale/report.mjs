import { estimate, median, ratios } from '../statistics.mjs'
import { cell, counted, fine, interval, short, table, whole } from '../table.mjs'
import { scaleTargets, verdict } from '../targets.mjs'
import { shapes } from './shapes.mjs'
import { spreads } from './spreads.mjs'

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

${table(head('cost, sockets', sockets), bySockets)}

${[rulesPart(result), sessionsPart(result), placesPart(result), missing(result)].filter((part) => part !== '').join('\n\n')}`
}

/** The parts that earlier results do not have. @param {Result} result */
function missing({ settings }) {
  const parts = Object.entries(laterParts).filter(([name]) => settings[name] === undefined)
  return parts.length === 0 ? '' : `Not measured yet: ${parts.map(([, part]) => part).join(', ')}.`
}

const laterParts = {
  rules: '`createGate` with many rules',
  sessions: 'one account with all sessions',
  places: 'a full quarantine',
}

/** @param {Result} result */
function rulesPart(result) {
  const { samples, seed, settings } = result
  const counts = /** @type {number[] | undefined} */ (settings.rules)
  if (counts === undefined) return ''
  const most = Math.max(...counts)
  const rows = Object.entries(shapes).map(([shape, { name }]) => {
    const ids = counts.map((count) => `rules ${shape} ${count}`)
    const all = estimate(samples[`rules ${shape} ${most}`]?.all ?? [], seed)
    return [
      name,
      ...flatness(result, ids, 'each', fine),
      interval(all, short),
      verdict(all, scaleTargets[most]),
    ]
  })
  const head = [
    'rules, µs each',
    ...counts.map(counted),
    `all ${counted(most)}, ms`,
    scaleTargets[most] === undefined ? '' : 'target',
  ]
  return `### Rules

\`createGate\` with so many rules of one shape, once in a fresh process, as an application starts: processor time, compilation and garbage collection included.

${table(head, rows, { lastIsText: true })}`
}

/** @param {Result} result */
function sessionsPart(result) {
  const { settings } = result
  const counts = /** @type {number[] | undefined} */ (settings.sessions)
  if (counts === undefined) return ''
  const ids = counts.map((count) => `sessions ${count}`)
  const rows = [
    ['decide', 'a decision by one of its sessions, not cached, µs'],
    ['create', 'one session more, µs'],
    ['revoke', 'one session less, µs'],
  ].map(([measure = '', name = '']) => [name, ...flatness(result, ids, measure, fine)])
  return `### One account with all sessions

On \`memoryStore()\`, ${settings.batches} batches of ${settings.batch}, median batch.

${table(['cost, sessions', ...counts.map(counted)], rows)}`
}

/** @param {Result} result */
function placesPart(result) {
  const { settings } = result
  const counts = /** @type {number[] | undefined} */ (settings.places)
  if (counts === undefined) return ''
  const rows = Object.entries(spreads).map(([spread, name]) => [
    name,
    ...flatness(
      result,
      counts.map((count) => `places ${spread} ${count}`),
      'newcomer',
      whole,
    ),
  ])
  return `### A full quarantine

Sockets without a credential that take all places of \`maxSockets\`, with one address allowed all of them; then ${counted(settings.newcomers)} newcomers, of which each displaces a socket: server CPU in µs a newcomer, with the end of the displaced socket. At least ${counted(settings.displaced)} sockets came before those that count.

${table(['newcomers from, places', ...counts.map(counted)], rows)}`
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
