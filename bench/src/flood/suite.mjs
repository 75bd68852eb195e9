import { median, shuffled } from '../statistics.mjs'
import { reportFlood } from './report.mjs'
import { sampleFlood } from './sample.mjs'

/** The servers and what the sockets of the flood say, in the order of the page. */
export const cases = /** @type {const} */ ([
  ['gate', 'none'],
  ['gate', 'nothing'],
  ['hand', 'nothing'],
  ['gate', 'bad'],
  ['hand', 'bad'],
])

const build = new URL('.', import.meta.resolve('upgate')).href

/**
 * Which nodes with good tokens get in while others keep all places for sockets without a credential busy.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const flood = {
  name: 'flood',
  rounds: 3,
  share: 45,
  settings: (mode) =>
    ({
      full: { sockets: 1200, rate: 1500, nodes: 12, latency: 50, spacing: 50, maxSockets: 1000 },
      quick: { sockets: 600, rate: 1500, nodes: 8, latency: 50, spacing: 30, maxSockets: 500 },
      check: { sockets: 50, rate: 500, nodes: 2, latency: 5, spacing: 5, maxSockets: 40 },
    })[mode],
  needs: ({ sockets, nodes }) => ({ files: sockets + 2 * nodes + 100 }),
  async *measure({ random, mode, settings }) {
    for (const [guard, says] of shuffled(cases, random)) {
      if (mode === 'check' && says !== 'nothing') continue
      const none = says === 'none'
      const question = { ...settings, family: 'IPv4', says, sockets: none ? 0 : settings.sockets }
      const { times, knownTimes, ...rest } = await sampleFlood(build, guard, question)
      // A server that lets no node in has no times: its place in the series is kept.
      const all = [...times, ...knownTimes]
      yield { id: `${guard} ${says}`, values: { ...rest, time: all.length > 0 ? median(all) : 0 } }
    }
  },
  report: reportFlood,
}
