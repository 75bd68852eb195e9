import { estimate, median, ratios } from '../statistics.mjs'
import { cell, counted, precise, short, table } from '../table.mjs'
import { httpTargets, verdict } from '../targets.mjs'

const frameworks = /** @type {const} */ ({ http: 'bare `http`', express: 'Express 5', koa: 'Koa 3' })

const comparisons = /** @type {const} */ ([
  ['the bare server twice (control)', 'public control', 'public bare', undefined],
  ['public path, by hand / bare', 'public hand', 'public bare', undefined],
  ['public path, Upgate / bare', 'public gate', 'public bare', httpTargets.public],
  ['public path, Upgate / by hand', 'public gate', 'public hand', undefined],
  ['API key, by hand / bare', 'key hand', 'key bare', undefined],
  ['API key, Upgate / bare', 'key gate', 'key bare', undefined],
  ['API key, Upgate / by hand', 'key gate', 'key hand', httpTargets.key],
])

/** @param {import('../suite.mjs').Result} result */
export function reportHttp({ samples, settings, seed }) {
  const parts = Object.entries(frameworks).map(([framework, title]) => {
    const rows = comparisons.flatMap(([name, ours, base, target]) => {
      const a = samples[`${framework} ${ours}`]
      const b = samples[`${framework} ${base}`]
      if (a === undefined || b === undefined) return []
      const throughput = ratios(a.throughput ?? [], b.throughput ?? [])
      return [
        [
          name,
          cell(throughput, seed, precise),
          cell(ratios(a.cpu ?? [], b.cpu ?? []), seed, precise),
          `${short(median(a.cpu ?? []))} / ${short(median(b.cpu ?? []))}`,
          verdict(estimate(throughput, seed), target),
        ],
      ]
    })
    const head = [
      'comparison',
      'throughput, ratio',
      'server CPU a request, ratio',
      'CPU µs a request',
      'target (throughput)',
    ]
    return `### ${title}\n\n${table(head, rows, { lastIsText: true })}`
  })
  const amounts = Object.entries(frameworks)
    .map(([framework, title]) => {
      const { warm, load } = settings.requests[framework]
      return `${title} ${counted(warm)} and ${counted(load)}`
    })
    .join(', ')
  const busy = median(Object.values(samples).map((sample) => median(sample.busy ?? [])))
  return `## Requests

A fresh server and a fresh client process for every sample. ${settings.connections} keep-alive connections on loopback with one GET under way each, from a small client over \`node:net\`; 8 headers, 9 with the key; an answer of two bytes. Warmed up by so many requests, and measured for so many: ${amounts}. The server spent ${(busy * 100).toFixed(0)} % of the time measured on a core (median of all servers): as far as that is below 100, it waited for the client.

${parts.join('\n\n')}`
}
