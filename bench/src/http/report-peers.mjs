import { estimate, median, ratios } from '../statistics.mjs'
import { cell, interval, precise, short, table, whole } from '../table.mjs'
import { peers } from './peers.mjs'

/** @typedef {import('../suite.mjs').Result} Result */

/** The rows for each framework: its bare server, Upgate, code by hand, and libraries. */
const frameworks = /** @type {const} */ ([
  { framework: 'http', title: 'bare `http`', own: ['http key bare', 'http key hand', 'http key gate'] },
  {
    framework: 'express',
    title: 'Express 5',
    own: ['express key bare', 'express key hand', 'express key gate'],
  },
  { framework: 'fastify', title: 'Fastify 5', own: [] },
  { framework: 'hono', title: 'Hono 4 on Node', own: [] },
])

/** What the samples of the other tables are called here. @type {Readonly<Record<string, readonly [string, string]>>} */
const namesOfOwn = {
  bare: ['bare, no authentication', 'none'],
  hand: ['by hand: SHA-256 and a `Map`', 'API key'],
  gate: ['Upgate', 'API key'],
}

/**
 * A library on its framework, compared with the bare framework.
 *
 * @typedef {object} PeerRow
 * @property {string} id
 * @property {string} framework
 * @property {string} name
 * @property {string} credential
 * @property {boolean} bare
 * @property {number[]} throughput
 * @property {number[]} cpu
 * @property {number[]} added CPU µs of the server for a request, more than the bare framework's
 * @property {number[]} toBare Throughput
 */

/**
 * @param {Result} result
 * @returns {PeerRow[]} None if the libraries were not measured
 */
export function peerRows({ samples, settings }) {
  if (settings.versions === undefined) return []
  return frameworks.flatMap(({ framework, own }) => {
    const rows = [
      ...own.map((id) => {
        const [name = '', credential = ''] = namesOfOwn[id.split(' ').at(-1) ?? ''] ?? []
        return { id, name, credential }
      }),
      ...peers.filter((peer) => peer.framework === framework),
    ]
    const bareId = own[0] ?? `${framework} peer bare`
    const bare = samples[bareId]
    return rows.flatMap(({ id, name, credential }) => {
      const { throughput = [], cpu = [] } = samples[id] ?? {}
      if (bare === undefined || cpu.length === 0) return []
      return [
        {
          ...{ id, framework, name, credential, throughput, cpu },
          bare: id === bareId,
          added: cpu.map((value, round) => value - (bare.cpu?.[round] ?? Number.NaN)),
          toBare: ratios(throughput, bare.throughput ?? []),
        },
      ]
    })
  })
}

/** @param {Result} result */
export function reportPeers(result) {
  const { settings, seed } = result
  const all = peerRows(result)
  const rows = all.map((row) => [
    `${frameworks.find(({ framework }) => framework === row.framework)?.title}`,
    row.name,
    row.credential,
    whole(median(row.throughput)),
    row.bare ? '1' : cell(row.toBare, seed, precise),
    short(median(row.cpu)),
    row.bare ? '' : interval(estimate(row.added, seed)),
  ])
  const versions = Object.entries(settings.versions)
    .filter(([, version]) => version !== '')
    .map(([name, version]) => `${name} ${version}`)
  const head = [
    'on',
    'library',
    'credential',
    'requests a second',
    'to the bare framework',
    'CPU µs a request',
    'of it for authentication, CPU µs',
  ]
  return `## Libraries

Each library as its documentation shows it, on the framework that it is for, with one credential that it accepts, and its records in memory; better-auth without its limits of requests. The last column is the CPU time of the server for a request, less that of the bare framework in the same round. A JWT is one that all verifiers have seen before; only fast-jwt with its cache remembers it. Libraries differ in what they check: none of the others has rules, Origin and Host checks, or closes what it admitted on revocation. ${versions.join(', ')}.

${table(head, rows, { textColumns: 3 })}`
}
