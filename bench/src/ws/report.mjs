import { estimate, median, ratios } from '../statistics.mjs'
import { cell, counted, precise, short, table, whole } from '../table.mjs'
import { socketTargets, verdict } from '../targets.mjs'
import { reportSocketPeers } from './report-peers.mjs'

const measures = /** @type {const} */ ([
  ['cpu', 'server CPU per 1,000, ms', short],
  ['accepts', 'accepts a second', whole],
  ['resident', 'resident bytes a socket', whole],
  ['heap', 'heap bytes a socket', whole],
])

const stages = /** @type {const} */ ([
  ['waiting', 'Quarantined: open and silent', 'bare ws', ['control', 'hand', 'gate']],
  ['accepted', 'Accepted after one frame', 'bare ws + one frame', ['hand', 'gate']],
])

const names = { control: 'bare ws again (control)', hand: 'by hand', gate: 'Upgate' }

/** @param {import('../suite.mjs').Result} result */
export function reportSockets(result) {
  const { samples, settings, seed } = result
  // Results of before `settle` had as many sockets of either kind.
  const { concurrency, devices, warm, count, settle = count } = settings
  const parts = stages.map(([stage, title, base, guards]) => {
    const rows = measures.flatMap(([measure, name, format]) => {
      const of = (/** @type {string} */ guard) => samples[`${stage} ${guard}`]?.[measure] ?? []
      return guards.flatMap((guard) => {
        const values = of(guard)
        const toBare = ratios(values, of('bare'))
        if (values.length === 0 || of('bare').length === 0) return []
        /** @type {Partial<Record<string, import('../targets.mjs').Target>>} */
        const targets = socketTargets[stage]
        return [
          [
            `${name}, ${names[guard]}`,
            `${format(median(values))} / ${format(median(of('bare')))}`,
            cell(toBare, seed, precise),
            guard === 'gate' ? cell(ratios(values, of('hand')), seed, precise) : '',
            guard === 'gate' ? verdict(estimate(toBare, seed), targets[measure]) : '',
          ],
        ]
      })
    })
    const head = ['what, whose', `it / ${base}`, `ratio to ${base}`, 'ratio to hand-written', 'target']
    return `### ${title}\n\n${table(head, rows, { lastIsText: true })}`
  })
  return `## WebSocket

A fresh server and client for every sample. ${concurrency} sockets at a time are opened, each on a new TCP connection and, told by a trusted proxy's \`X-Forwarded-For\`, from an address of its own; ${counted(warm)} first, then ${counted(settle + count)} that are measured; all stay open. Memory is taken after full garbage collections, before and after those ${counted(settle + count)}; time is that of the last ${counted(count)}, when what the collection let go of is compiled again. The young generation has a fixed size, so that it does not count. No compression. Every limit of the quarantine is on; the number of sockets and the deadline are raised to fit the sample. Accepted sockets belong to ${devices} devices in turn; plain ws answers their frame, which it does not look at, with as many bytes.

${parts.join('\n\n')}

${reportSocketPeers(result)}`
}
