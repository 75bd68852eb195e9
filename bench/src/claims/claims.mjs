import { success } from '../flood/report.mjs'
import { peerRows } from '../http/report-peers.mjs'
import { estimate, ratios } from '../statistics.mjs'
import { counted, fine, interval, precise, short } from '../table.mjs'
import { enough } from '../targets.mjs'

/** @typedef {import('../suite.mjs').Result} Result */

/**
 * One figure that the documentation may cite: a row of the page, and a sentence with the bad end of its interval.
 *
 * @typedef {object} Claim
 * @property {string} id Anchor of its row
 * @property {string} figure The measured quantity, with its unit
 * @property {string} ours
 * @property {string} others Compared with
 * @property {(link: (text: string) => string) => string} sentence The text given to `link` occurs in the row
 */

const wholeNumber = (/** @type {number} */ value) => counted(Math.round(value))

/**
 * The claims of all results.
 *
 * @param {ReadonlyMap<string, Result>} results
 * @returns {Claim[]} In the order of the page; only those that were measured
 */
export function claimsOf(results) {
  return sources.flatMap(({ suite, make }) => {
    const result = results.get(suite)
    return result === undefined ? [] : make(result, results)
  })
}

/** Rounds that are enough where they are few: floods count nodes, and libraries differ by more than the noise. @type {Readonly<Record<string, number>>} */
const few = { flood: 3, libraries: 3 }

/** Whether a result says anything for certain. @param {Result} result */
export const certain = ({ mode, rounds, suite }) => mode === 'full' && rounds >= (few[suite] ?? enough)

/** @type {readonly { suite: string, make(result: Result, results: ReadonlyMap<string, Result>): Claim[] }[]} */
const sources = [
  { suite: 'ws', make: handshakes },
  { suite: 'ws', make: unauthenticated },
  { suite: 'revocation', make: revocations },
  { suite: 'flood', make: floods },
  { suite: 'http', make: requests },
  { suite: 'decide', make: decisions },
]

/**
 * Names and intervals of other servers, those that were measured.
 *
 * @param {readonly (readonly [name: string, values: readonly number[] | undefined])[]} series
 * @param {number} seed
 * @param {(value: number) => string} format
 */
function listed(series, seed, format) {
  return series
    .flatMap(([name, values]) =>
      values === undefined || values.length === 0
        ? []
        : [`${name} ${interval(estimate(values, seed), format)}`],
    )
    .join('; ')
}

/** @param {Result} result @returns {Claim[]} */
function handshakes({ samples, seed }) {
  const of = (/** @type {string} */ guard) => samples[`accepted ${guard}`]?.accepts
  const frame = of('gate')
  if (frame === undefined) return []
  const inFrame = estimate(frame, seed)
  const others = listed(
    [
      ['ws by hand', of('hand')],
      ['graphql-ws', of('graphql-ws')],
      ['socket.io', of('socket.io')],
      ["OpenClaw's gateway", of('openclaw')],
    ],
    seed,
    wholeNumber,
  )
  /** @type {Claim[]} */
  const claims = [
    {
      id: 'handshakes-frame',
      figure: 'handshakes a second with authentication, credential in the first frame',
      ours: interval(inFrame, wholeNumber),
      others,
      sentence: (link) =>
        `One core authenticates at least ${link(wholeNumber(inFrame.low))} handshakes a second whose credential is in the first frame.`,
    },
  ]
  const header = of('gate-header')
  if (header !== undefined) {
    const inHeader = estimate(header, seed)
    claims.push({
      id: 'handshakes-header',
      figure: 'handshakes a second with authentication, credential in a header of the upgrade',
      ours: interval(inHeader, wholeNumber),
      others: listed([['ws by hand', of('hand-header')]], seed, wholeNumber),
      sentence: (link) =>
        `With the credential in a header of the upgrade, it is at least ${link(wholeNumber(inHeader.low))}.`,
    })
  }
  return claims
}

/** @param {Result} result @returns {Claim[]} */
function unauthenticated({ samples, seed }) {
  const of = (/** @type {string} */ guard) => samples[`waiting ${guard}`] ?? {}
  const ours = of('gate')
  const names = /** @type {const} */ ([
    ['bare ws', 'bare'],
    ['by hand', 'hand'],
    ['graphql-ws', 'graphql-ws'],
    ['socket.io', 'socket.io'],
  ])
  const series = (/** @type {string} */ measure) =>
    names.map(([name, guard]) => /** @type {const} */ ([name, of(guard)[measure]]))
  if (ours.heap === undefined || ours.resident === undefined) return []
  const heap = estimate(ours.heap, seed)
  const resident = estimate(ours.resident, seed)
  const toBare = estimate(ratios(ours.heap, of('bare').heap ?? []), seed)
  const compared = toBare.high < 1 ? ', less than a socket of bare `ws`' : ''
  return [
    {
      id: 'unauthenticated-heap',
      figure: 'heap bytes of a socket without a credential',
      ours: `${interval(heap, wholeNumber)}; to bare ws ${interval(toBare, precise)}`,
      others: listed([...series('heap'), ["OpenClaw's gateway", of('openclaw').heap]], seed, wholeNumber),
      sentence: (link) =>
        `A socket that has not proved its identity yet takes at most ${link(wholeNumber(heap.high))} bytes of heap${compared}.`,
    },
    {
      id: 'unauthenticated-resident',
      figure: 'resident bytes of a socket without a credential',
      ours: interval(resident, wholeNumber),
      others: listed(series('resident'), seed, wholeNumber),
      sentence: (link) => `Its resident memory is at most ${link(wholeNumber(resident.high))} bytes.`,
    },
  ]
}

/** @param {Result} result @returns {Claim[]} */
function revocations({ samples, settings, seed }) {
  const here = samples.sqlite
  if (here?.one === undefined || here.many === undefined) return []
  const one = estimate(here.one, seed)
  const many = estimate(here.many, seed)
  const there = samples.postgres?.one
  /** @type {Claim[]} */
  const claims = [
    {
      id: 'revocation-one',
      figure: 'revocation to the close frame at the client, ms; written to SQLite first',
      ours: interval(one, fine),
      others: listed([['by hand, nothing written', samples.hand?.one]], seed, fine),
      sentence: (link) =>
        `A revocation that is written to SQLite reaches the client as a close frame in at most ${link(fine(one.high))} ms.`,
    },
    {
      id: 'revocation-many',
      figure: `the same for the last of ${counted(settings.sockets)} sockets of one device, ms`,
      ours: interval(many, fine),
      others: listed([['by hand, nothing written', samples.hand?.many]], seed, fine),
      sentence: (link) =>
        `The last of ${counted(settings.sockets)} sockets of one device has it in at most ${link(fine(many.high))} ms.`,
    },
  ]
  if (there !== undefined) {
    const elsewhere = estimate(there, seed)
    claims.push({
      id: 'revocation-elsewhere',
      figure: 'revocation on one instance to the close frame of a socket on another, ms; PostgreSQL',
      ours: interval(elsewhere, fine),
      others: '',
      sentence: (link) =>
        `On another instance, by way of PostgreSQL, it takes at most ${link(fine(elsewhere.high))} ms.`,
    })
  }
  return claims
}

/** @param {Result} result @returns {Claim[]} */
function floods(result) {
  const { sockets, maxSockets } = result.settings
  return [
    /** @type {const} */ ({ says: 'nothing', flood: 'silent sockets' }),
    /** @type {const} */ ({ says: 'bad', flood: 'sockets with wrong tokens' }),
  ].flatMap(({ says, flood }) => {
    const share = (/** @type {string} */ guard) => {
      const { got, tried, least } = success(result, `${guard} ${says}`, 'firstIn')
      return { text: `${got} of ${tried}`, tried, least: (100 * least).toFixed(0) }
    }
    const [ours, hand] = [share('gate'), share('hand')]
    if (ours.tried === 0) return []
    return [
      {
        id: `flood-${says}`,
        figure: `new nodes that get in during a flood of ${counted(sockets)} ${flood} for ${counted(maxSockets)} places`,
        ours: `${ours.text} (≥ ${ours.least} %)`,
        others: `by hand, first come, first served: ${hand.text}`,
        sentence: (/** @type {(text: string) => string} */ link) =>
          `While ${counted(sockets)} ${flood} compete for ${counted(maxSockets)} places, ${link(ours.text)} new nodes get in; ${link(hand.text)} with the usual limit by hand.`,
      },
    ]
  })
}

/** Libraries in the row about requests; the table has the others. */
const citedPeers = [
  'http key hand',
  'express peer passport-http-bearer',
  'express peer better-auth-key',
  'fastify peer bearer-auth',
]

/**
 * @param {Result} result
 * @param {ReadonlyMap<string, Result>} results
 * @returns {Claim[]}
 */
function requests({ samples, seed }, results) {
  const libraries = results.get('libraries')
  const gate = samples['http key gate']?.cpu
  const bare = samples['http key bare']?.cpu
  if (gate === undefined || bare === undefined) return []
  const added = gate.map((value, round) => value - (bare[round] ?? Number.NaN))
  const cost = estimate(added, seed)
  const others = (libraries === undefined ? [] : peerRows(libraries))
    .filter(({ id }) => citedPeers.includes(id))
    .map(({ name, framework, added: more }) => /** @type {const} */ ([`${name} (${framework})`, more]))
  return [
    {
      id: 'request-key',
      figure: 'CPU µs of authentication in a request with an API key, more than the bare server',
      ours: `${interval(cost, short)} (http)`,
      others: listed(others, seed, short),
      sentence: (link) =>
        `A request with an API key costs at most ${link(short(cost.high))} µs of CPU more than on a bare server.`,
    },
  ]
}

/** @param {Result} result @returns {Claim[]} */
function decisions({ samples, seed }) {
  const { ours, floor } = samples.key ?? {}
  if (ours === undefined) return []
  const key = estimate(ours, seed)
  return [
    {
      id: 'decide-key',
      figure: 'one decision about a request with an API key, µs',
      ours: interval(key, fine),
      others: listed([['SHA-256 and a `Map`', floor]], seed, fine),
      sentence: (link) => `The decision itself takes at most ${link(fine(key.high))} µs.`,
    },
  ]
}
