import { start } from '../children.mjs'

/**
 * How one flood is made, and which nodes try to get in while it lasts.
 *
 * @typedef {object} Flood
 * @property {string} family `IPv4` or `IPv6`
 * @property {string} says What its sockets say
 * @property {number} [addresses] From how many addresses; without it, each socket has its own
 * @property {readonly [key: string, cert: string]} [tls] Of a server that all of them reach through TLS
 * @property {number} sockets At a time; none for no flood
 * @property {number} rate A second, at most
 * @property {number} nodes First-time nodes, and as many known ones
 * @property {number} latency Milliseconds from the 101 to a node's credential
 * @property {number} spacing Milliseconds from node to node
 * @property {number} maxSockets Places of the server for sockets without a credential
 */

/**
 * @typedef {object} Sample
 * @property {number} firstIn First-time nodes that got in
 * @property {number} knownIn
 * @property {number[]} times Milliseconds of the first-time nodes that got in, latency included
 * @property {number[]} knownTimes
 * @property {number} delay 99th percentile of the event loop's delay, in milliseconds
 * @property {number} longest
 * @property {number} memory Resident memory at its peak during the flood, more than before it, in MiB
 * @property {number} cpu CPU of the server in a second of the flood, in milliseconds
 * @property {number} opened Sockets of the flood that were answered 101, in a second
 * @property {number} turnedAway Those that were answered before 101, in a second
 */

/**
 * @param {string} build Where the compiled library is
 * @param {string} guard `gate`, or `hand`
 * @param {Flood} flood
 * @returns {Promise<Sample>}
 */
export async function sampleFlood(build, guard, flood) {
  const { family, says, sockets, rate, nodes, latency, spacing, maxSockets, addresses } = flood
  const tls = flood.tls !== undefined
  const program = new URL('server.mjs', import.meta.url)
  const server = start(program, [build, `${maxSockets}`, guard, ...(flood.tls ?? [])], ['--expose-gc'])
  const attacker = start(new URL('attacker.mjs', import.meta.url))
  const honest = start(new URL('nodes.mjs', import.meta.url))
  try {
    const { port, token } = await server.ask({ what: 'where' })
    await honest.ask({ what: 'introduce', port, token, family, count: nodes, tls })
    await server.ask({ what: 'watch' })
    await attacker.ask({ what: 'begin', port, family, sockets, rate, says, addresses, tls })
    const question = { what: 'try', port, token, family, count: nodes, latency, spacing, tls }
    const got = await honest.ask(question, 120_000)
    const { opened, turnedAway, seconds } = await attacker.ask({ what: 'end' })
    const watched = await server.ask({ what: 'report' })
    return { ...got, ...watched, opened: opened / seconds, turnedAway: turnedAway / seconds }
  } finally {
    await Promise.all([server.stop(), attacker.stop(), honest.stop()])
  }
}
