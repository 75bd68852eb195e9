import { median } from '../statistics.mjs'
import { counted, short, table, whole } from '../table.mjs'

/** @typedef {import('../suite.mjs').Result} Result */

/** Servers and floods, in the order of the page. @type {Readonly<Record<string, readonly [server: string, flood: string]>>} */
const names = {
  'gate none': ['Upgate', 'none'],
  'gate nothing': ['Upgate', 'silent'],
  'hand nothing': ['by hand', 'silent'],
  'gate bad': ['Upgate', 'wrong tokens'],
  'hand bad': ['by hand', 'wrong tokens'],
}

/**
 * The nodes of one case that got in, of all rounds.
 *
 * @param {Result} result
 * @param {string} id
 * @param {'firstIn' | 'knownIn'} which
 */
export function success({ samples, settings }, id, which) {
  const values = samples[id]?.[which] ?? []
  const got = values.reduce((sum, each) => sum + each, 0)
  const tried = values.length * settings.nodes
  return { got, tried, least: lowerBound(got, tried) }
}

/**
 * The lower end of the 95 % interval of a share (Wilson).
 *
 * @param {number} got
 * @param {number} tried
 */
function lowerBound(got, tried) {
  if (tried === 0) return 0
  const z = 1.96
  const share = got / tried
  const spread = z * Math.sqrt((share * (1 - share)) / tried + z ** 2 / (4 * tried ** 2))
  return Math.max(0, (share + z ** 2 / (2 * tried) - spread) / (1 + z ** 2 / tried))
}

/** @param {Result} result */
export function reportFlood(result) {
  const { samples, settings } = result
  const { sockets, rate, nodes, latency, maxSockets } = settings
  const rows = Object.entries(names).flatMap(([id, [server, flood]]) => {
    const of = samples[id]
    if (of === undefined) return []
    const share = (/** @type {'firstIn' | 'knownIn'} */ which) => {
      const { got, tried, least } = success(result, id, which)
      return `${got} of ${tried} (≥ ${(100 * least).toFixed(0)} %)`
    }
    const middle = (/** @type {string} */ measure) => median(of[measure] ?? [])
    const time = (of.time ?? []).filter((each) => each > 0)
    return [
      [
        flood,
        server,
        share('firstIn'),
        share('knownIn'),
        time.length === 0 ? '–' : whole(median(time)),
        `${short(middle('delay'))}; ${short(Math.max(...(of.longest ?? [])))}`,
        short(Math.max(...(of.memory ?? []))),
        `${whole(middle('opened'))}; ${whole(middle('turnedAway'))}`,
      ],
    ]
  })
  const head = [
    'flood',
    'server',
    'first-time nodes in',
    'known nodes in',
    'median, ms',
    'loop delay p99; longest, ms',
    'memory at most, MiB',
    'flood 101; refused before, a second',
  ]
  return `## Under flood

${counted(sockets)} sockets at a time, each from an address of its own, at most ${counted(rate)} a second, that say nothing or send a wrong token; they answer no close frame and leave when they are cut. The server has ${counted(maxSockets)} places for sockets without a credential. In the same time ${nodes} nodes come for the first time and ${nodes} from addresses that were accepted before, with good tokens, ${latency} ms from the 101 to the credential; each tries once. *By hand* is ws with as many places, first come, first served, and a deadline of ten seconds. In brackets, the lower end of the 95 % interval of the share.

${table(head, rows, { textColumns: 2 })}`
}
