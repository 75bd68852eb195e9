#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { dieWithChildren, start } from '../children.mjs'
import { estimate, ratios, seededRandom, shuffled } from '../statistics.mjs'

const help = `Revokes everybody behind many sockets of one server, beside a loop that closes as many plain \`ws\` sockets.

  node bench/src/revocation/main.mjs [options]

  --rounds <n>      interleaved rounds, 1 to 60 (default: 15)
  --sockets <n>     sockets, 1 to 15,000 (default: 10,000); each needs a file descriptor here and there
  --principals <n>  whose they are, in turn (default: 1)
  --help            this text

It measures the compiled packages (npm run build), on loopback, and takes about 10 seconds a round.`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    sockets: { type: 'string', default: '10000' },
    principals: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
})
const [rounds, count, principals] = [values.rounds, values.sockets, values.principals].map(Number)
const within = (/** @type {number | undefined} */ value, /** @type {number} */ most) =>
  value !== undefined && Number.isInteger(value) && value >= 1 && value <= most
if (values.help || !within(rounds, 60) || !within(count, 15_000) || !within(principals, 15_000)) {
  console.log(help)
  process.exit(values.help ? 0 : 2)
}

dieWithChildren()

/** @typedef {{ toLastClose: number, cpu: number, longestTurn: number, costliestTurn: number, slowest: number }} Sample */

/**
 * Measures two fresh servers: on one alone, the watching and the other clients' requests would count as its CPU time.
 *
 * @param {string} guard
 * @returns {Promise<Sample>}
 */
async function sample(guard) {
  const alone = await close(guard, false)
  const { longestTurn, costliestTurn, slowest } = await close(guard, true)
  return { ...alone, longestTurn, costliestTurn, slowest }
}

/**
 * @param {string} guard
 * @param {boolean} watched
 */
async function close(guard, watched) {
  const server = start(new URL('server.mjs', import.meta.url), [guard, `${principals}`], ['--expose-gc'])
  const client = start(new URL('client.mjs', import.meta.url))
  const probe = start(new URL('probe.mjs', import.meta.url))
  try {
    const { port, tokens } = await server.ask({ what: 'where' })
    await client.ask({ what: 'open', port, tokens, count })
    if (watched) await probe.ask({ what: 'begin', port })
    const closed = await server.ask({ what: 'revoke', watched })
    if (closed.count !== count) throw new Error(`${guard}: ${closed.count} of ${count} sockets were open`)
    const requests = watched ? await probe.ask({ what: 'end' }) : {}
    await client.ask({ what: 'gone' })
    return { ...closed, ...requests }
  } finally {
    await Promise.all([server.stop(), client.stop(), probe.stop()])
  }
}

/** @type {Record<string, Sample[]>} */
const samples = { gate: [], bare: [] }
const random = seededRandom(1)
for (let round = 0; round < (rounds ?? 0); round++) {
  process.stderr.write(`round ${round + 1} of ${rounds}\r`)
  for (const guard of shuffled(['gate', 'bare'], random)) samples[guard]?.push(await sample(guard))
}

const of = (/** @type {string} */ guard, /** @type {keyof Sample} */ measure) =>
  (samples[guard] ?? []).map((each) => each[measure])
const interval = (/** @type {number[]} */ all, digits = 1) => {
  const { median, low, high } = estimate(all, 1)
  return `${median.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`
}
console.log(`${count} sockets of ${principals} principal(s), ${rounds} rounds; medians with their 95 % intervals, milliseconds

| | revocation | bare loop |
| --- | ---: | ---: |
| commit to the last close frame | ${interval(of('gate', 'toLastClose'))} | ${interval(of('bare', 'toLastClose'))} |
| longest turn of the event loop | ${interval(of('gate', 'longestTurn'))} | ${interval(of('bare', 'longestTurn'))} |
| the same in CPU of its thread, which neighbours do not lengthen (Linux) | ${interval(of('gate', 'costliestTurn'))} | ${interval(of('bare', 'costliestTurn'))} |
| slowest request of somebody else | ${interval(of('gate', 'slowest'))} | ${interval(of('bare', 'slowest'))} |
| CPU of the server until all are gone | ${interval(of('gate', 'cpu'))} | ${interval(of('bare', 'cpu'))} |

CPU against the bare loop: ${interval(ratios(of('gate', 'cpu'), of('bare', 'cpu')), 2)}`)
process.exit(0)
