#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { dieWithChildren } from '../children.mjs'
import { seededRandom, shuffled } from '../statistics.mjs'
import { sampleFlood } from './sample.mjs'

const help = `Floods a guarded server with sockets, each from an address of its own, and counts which nodes with good tokens get in:
those that come for the first time, and those whose addresses were accepted before.

  node bench/src/flood/main.mjs [options]

  --rounds <n>       rounds of each case, 1 to 20 (default: 3)
  --sockets <n>      sockets of the flood at a time, 1 to 5,000 (default: 1,500)
  --rate <n>         sockets of the flood in a second, at most, 1 to 5,000 (default: 1,000)
  --nodes <n>        first-time nodes, and as many known ones, in a round, 1 to 200 (default: 16)
  --says <what>      what a socket of the flood says: \`bad\` (a wrong token) or \`nothing\` (default: bad)
  --latency <n>      milliseconds from the 101 to a node's credential, 0 to 1,000 (default: 50)
  --before <folder>  root of another checkout that was built: measured as well, in turn
  --check            print no figures, only prove that everything runs
  --help             this text

It measures the compiled packages (npm run build), on loopback, and takes about 10 seconds a round and case. The addresses
are said by X-Forwarded-For. The flood answers no close frame: it leaves when it is cut.`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    sockets: { type: 'string', default: '1500' },
    rate: { type: 'string', default: '1000' },
    nodes: { type: 'string', default: '16' },
    latency: { type: 'string', default: '50' },
    says: { type: 'string', default: 'bad' },
    before: { type: 'string' },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const { check, says } = values
/** @param {string} value @param {number} least @param {number} most */
function whole(value, least, most) {
  const number = Number(value)
  return Number.isInteger(number) && number >= least && number <= most ? number : Number.NaN
}
const rounds = check ? 1 : whole(values.rounds, 1, 20)
const sockets = check ? 60 : whole(values.sockets, 1, 5000)
const rate = check ? 300 : whole(values.rate, 1, 5000)
const nodes = check ? 2 : whole(values.nodes, 1, 200)
const latency = check ? 5 : whole(values.latency, 0, 1000)
if (
  values.help ||
  !['bad', 'nothing'].includes(says) ||
  [rounds, sockets, rate, nodes, latency].some(Number.isNaN)
) {
  console.log(help)
  process.exit(values.help ? 0 : 2)
}

/** @param {string} root @returns {string} */
function buildOf(root) {
  const folder = resolve(root, 'packages', 'upgate', 'dist')
  if (!existsSync(resolve(folder, 'ws.js'))) {
    console.error(`${folder} is not built: run \`npm run build\` there first.`)
    process.exit(2)
  }
  return `${pathToFileURL(folder).href}/`
}

/** @type {Record<string, string>} */
const builds = { now: buildOf(fileURLToPath(new URL('../../..', import.meta.url))) }
if (values.before !== undefined) builds.before = buildOf(values.before)

dieWithChildren()

/** @typedef {import('./sample.mjs').Sample} Sample */

const flood = {
  ...{ says: /** @type {'bad' | 'nothing'} */ (says), sockets, rate, nodes, latency },
  spacing: 100,
  maxSockets: check ? 40 : 1000,
}

/** @type {Map<string, Sample[]>} */
const samples = new Map()
const families = ['IPv4', 'IPv6']
const cases = families.flatMap((family) => Object.keys(builds).map((name) => ({ name, family })))
const random = seededRandom(1)
for (let round = 0; round < rounds; round++) {
  for (const { name, family } of shuffled(cases, random)) {
    if (!check) process.stderr.write(`round ${round + 1} of ${rounds}: ${name}, ${family}\n`)
    const key = `${name} ${family}`
    samples.set(key, [
      ...(samples.get(key) ?? []),
      await sampleFlood(builds[name] ?? '', 'gate', { ...flood, family }),
    ])
  }
}

if (check) {
  console.log('The flood runs.')
  process.exit(0)
}

/** @param {readonly number[]} all @param {number} share */
function quantile(all, share) {
  const sorted = [...all].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}
const total = (/** @type {readonly number[]} */ all) => all.reduce((sum, each) => sum + each, 0)
const worst = (/** @type {readonly number[]} */ all) => Math.max(...all)
const shown = (/** @type {number} */ value) => (Number.isFinite(value) ? value.toFixed(0) : '–')

console.log(`${sockets} sockets at a time that say ${says === 'bad' ? 'a wrong token' : says}, at most ${rate} a second; ${rounds} rounds of ${nodes} first-time and ${nodes} known nodes, ${latency} ms from 101 to credential

| | first-time nodes in | their p95, ms | known nodes in | their p95, ms | loop delay p99; longest, ms | memory, MiB | server CPU, ms/s | flood 101; before 101, a second |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |`)
for (const { name, family } of cases) {
  const all = samples.get(`${name} ${family}`) ?? []
  const of = (
    /** @type {'firstIn' | 'knownIn' | 'delay' | 'longest' | 'memory' | 'cpu' | 'opened' | 'turnedAway'} */ key,
  ) => all.map((each) => each[key])
  const mean = (/** @type {readonly number[]} */ each) => total(each) / each.length
  console.log(
    `| ${[
      values.before === undefined ? family : `${family}, ${name}`,
      `${total(of('firstIn'))} of ${nodes * rounds}`,
      shown(
        quantile(
          all.flatMap(({ times }) => times),
          0.95,
        ),
      ),
      `${total(of('knownIn'))} of ${nodes * rounds}`,
      shown(
        quantile(
          all.flatMap(({ knownTimes }) => knownTimes),
          0.95,
        ),
      ),
      `${shown(worst(of('delay')))}; ${shown(worst(of('longest')))}`,
      shown(worst(of('memory'))),
      shown(mean(of('cpu'))),
      `${shown(mean(of('opened')))}; ${shown(mean(of('turnedAway')))}`,
    ].join(' | ')} |`,
  )
}
process.exit(0)
