import { frameworks } from './http/suite.mjs'
import { estimate, ratios } from './statistics.mjs'
import { decideTargets, httpTargets, socketTargets, verdict } from './targets.mjs'

/** @typedef {import('./statistics.mjs').Estimate} Estimate */

/** @param {number} value */
const short = (value) =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)

/**
 * @param {Estimate} estimate
 * @param {(value: number) => string} [format]
 */
const interval = ({ median, low, high }, format = (value) => value.toFixed(2)) =>
  `${format(median)} (${format(low)}–${format(high)})`

/**
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
function table(head, rows) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    line(head.map((_, i) => (i === 0 ? '---' : i === head.length - 1 ? '---' : '---:'))),
    ...rows.map(line),
  ].join('\n')
}

/**
 * @param {import('./decide/suite.mjs').DecideResult} result
 * @param {number} seed
 */
export function reportDecide({ cases, samples }, seed) {
  const rows = cases.map(({ id, name, floorName }) => {
    const { ours, floor } = samples[id] ?? { ours: [], floor: [] }
    const own = estimate(ours, seed)
    return [
      name,
      interval(own, short3),
      `${floorName}: ${short3(estimate(floor, seed).median)}`,
      interval(estimate(ratios(ours, floor), seed), short),
      verdict(own, decideTargets[id]),
    ]
  })
  return `## decide(), microseconds\n\n${table(['request', 'Upgate', 'floor', 'ratio', 'target (µs)'], rows)}`
}

/** @param {number} value */
const short3 = (value) => (value < 1 ? value.toFixed(3) : value.toFixed(2))

/**
 * @param {import('./http/suite.mjs').HttpResult} result
 * @param {number} seed
 */
export function reportHttp(result, seed) {
  const titles = { http: 'bare `http`', express: 'Express 5', koa: 'Koa 3' }
  const of = (/** @type {string} */ framework, /** @type {string} */ variant) =>
    result[`${framework} ${variant}`] ?? { throughput: [], cpu: [] }
  const comparisons = /** @type {const} */ ([
    ['the bare server twice (control)', 'public control', 'public bare', undefined],
    ['public path, by hand / bare', 'public hand', 'public bare', undefined],
    ['public path, Upgate / bare', 'public gate', 'public bare', httpTargets.public],
    ['public path, Upgate / by hand', 'public gate', 'public hand', undefined],
    ['API key, by hand / bare', 'key hand', 'key bare', undefined],
    ['API key, Upgate / bare', 'key gate', 'key bare', undefined],
    ['API key, Upgate / by hand', 'key gate', 'key hand', httpTargets.key],
  ])
  const parts = frameworks.map((framework) => {
    const rows = comparisons.map(([name, ours, base, target]) => {
      const a = of(framework, ours)
      const b = of(framework, base)
      const throughput = estimate(ratios(a.throughput, b.throughput), seed)
      const cpu = estimate(ratios(a.cpu, b.cpu), seed)
      return [
        name,
        interval(throughput, (value) => value.toFixed(3)),
        interval(cpu, (value) => value.toFixed(3)),
        `${short(estimate(a.cpu, seed).median)} / ${short(estimate(b.cpu, seed).median)}`,
        verdict(throughput, target),
      ]
    })
    const head = [
      'comparison',
      'throughput, ratio',
      'server CPU a request, ratio',
      'CPU µs',
      'target (throughput)',
    ]
    return `### ${titles[framework]}\n\n${table(head, rows)}`
  })
  return `## Requests\n\n${parts.join('\n\n')}`
}

/**
 * @param {import('./ws/suite.mjs').SocketResult} result
 * @param {number} seed
 */
export function reportSockets(result, seed) {
  const measures = /** @type {const} */ ([
    ['cpu', 'server CPU per 1,000, ms', short],
    ['accepts', 'accepts a second', (/** @type {number} */ value) => value.toFixed(0)],
    ['resident', 'resident bytes a socket', (/** @type {number} */ value) => value.toFixed(0)],
    ['heap', 'heap bytes a socket', (/** @type {number} */ value) => value.toFixed(0)],
  ])
  const stages = /** @type {const} */ ([
    ['waiting', 'Quarantined: open and silent', ['control', 'hand', 'gate']],
    ['accepted', 'Accepted after one frame', ['hand', 'gate']],
  ])
  const names = { control: 'bare ws again (control)', hand: 'by hand', gate: 'Upgate' }
  const parts = stages.map(([stage, title, guards]) => {
    const rows = measures.flatMap(([measure, name, format]) => {
      const of = (/** @type {string} */ guard) => result[`${stage} ${guard}`]?.[measure] ?? []
      const bare = of('bare')
      return guards.map((guard) => {
        const values = of(guard)
        const toBare = estimate(ratios(values, bare), seed)
        /** @type {Partial<Record<string, import('./targets.mjs').Target>>} */
        const targets = socketTargets[stage]
        return [
          `${name}, ${names[guard]}`,
          `${format(estimate(values, seed).median)} / ${format(estimate(bare, seed).median)}`,
          interval(toBare, (value) => value.toFixed(3)),
          guard === 'gate'
            ? interval(estimate(ratios(values, of('hand')), seed), (value) => value.toFixed(3))
            : '',
          guard === 'gate' ? verdict(toBare, targets[measure]) : '',
        ]
      })
    })
    const base = stage === 'waiting' ? 'bare ws' : 'bare ws + one frame'
    return `### ${title}\n\n${table(['what, whose', `it / ${base}`, `ratio to ${base}`, 'ratio to hand-written', 'target'], rows)}`
  })
  return `## WebSocket\n\n${parts.join('\n\n')}`
}
