#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { dieWithChildren } from '../children.mjs'
import { sampleFlood } from './sample.mjs'

const help = `Floods a guarded server in each way, raw and through TLS, from one address and from 10,000, while nodes with good tokens
connect: how many get in and how soon, and what the server pays, with and without the flood.

  node bench/src/flood/kinds.mjs [options]

  --sockets <n>  sockets of a flood at a time, 1 to 5,000 (default: 1,000)
  --rate <n>     sockets of a flood in a second, at most, 1 to 5,000 (default: 500)
  --nodes <n>    first-time nodes, and as many known ones, in a flood, 1 to 200 (default: 16)
  --only <list>  some of: none, nothing, bad, drip, pings, fragments, storm (default: all)
  --check        print no figures, only prove that everything runs
  --help         this text

It measures the compiled packages (npm run build), on loopback, each case once: about 10 seconds for each way, transport and
number of addresses.`

const ways = ['none', 'nothing', 'bad', 'drip', 'pings', 'fragments', 'storm']
const { values } = parseArgs({
  options: {
    sockets: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '500' },
    nodes: { type: 'string', default: '16' },
    only: { type: 'string', default: ways.join(',') },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const { check } = values
/** @param {string} value @param {number} most */
const whole = (value, most) =>
  Number.isInteger(Number(value)) && Number(value) >= 1 && Number(value) <= most ? Number(value) : Number.NaN
const sockets = check ? 60 : whole(values.sockets, 5000)
const rate = check ? 300 : whole(values.rate, 5000)
const nodes = check ? 2 : whole(values.nodes, 200)
const only = values.only.split(',')
if (values.help || [sockets, rate, nodes].some(Number.isNaN) || only.some((way) => !ways.includes(way))) {
  console.log(help)
  process.exit(values.help ? 0 : 2)
}

dieWithChildren()
const root = new URL('../../../packages/upgate/', import.meta.url)
// The certificate of the tests, for loopback.
const fixture = readFileSync(new URL('test/pitfalls/tls-fixture.ts', root), 'utf8')
const [key = '', cert = ''] = fixture.match(/-----BEGIN [^`]+/g) ?? []

const shown = (/** @type {number} */ value) => (Number.isFinite(value) ? value.toFixed(0) : '–')
/** @param {readonly number[]} all */
function p95(all) {
  const sorted = [...all].sort((a, b) => a - b)
  return shown(sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))] ?? Number.NaN)
}

if (!check) {
  console.log(`${sockets} sockets of a flood at a time, at most ${rate} a second; ${nodes} first-time and ${nodes} known nodes, 5 ms from 101 to credential

| flood | addresses | through | first-time nodes in; p95, ms | known nodes in; p95, ms | loop delay p99; longest, ms | memory, MiB | server CPU, ms/s | flood 101; before 101, a second |
| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |`)
}
for (const says of only) {
  for (const tls of [false, true]) {
    for (const addresses of says === 'none' ? [0] : [1, 10_000]) {
      const sample = await sampleFlood(new URL('dist/', root).href, 'gate', {
        ...{ family: 'IPv4', says, addresses, rate, nodes, latency: 5, spacing: check ? 5 : 100 },
        ...{ sockets: says === 'none' ? 0 : sockets, maxSockets: check ? 40 : 1000 },
        ...(tls && { tls: [key, cert] }),
      })
      if (check) continue
      const { firstIn, times, knownIn, knownTimes, delay, longest, memory, cpu, opened, turnedAway } = sample
      console.log(
        `| ${[
          says,
          shown(addresses),
          tls ? 'TLS' : 'TCP',
          `${firstIn} of ${nodes}; ${p95(times)}`,
          `${knownIn} of ${nodes}; ${p95(knownTimes)}`,
          `${shown(delay)}; ${shown(longest)}`,
          shown(memory),
          shown(cpu),
          says === 'none' ? '–' : `${shown(opened)}; ${shown(turnedAway)}`,
        ].join(' | ')} |`,
      )
    }
  }
}
if (check) console.log('The floods run.')
process.exit(0)
