#!/usr/bin/env node
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { dieWithChildren, start } from '../children.mjs'
import { seededRandom, shuffled } from '../statistics.mjs'
import { floods } from './scenarios.mjs'

const names = Object.keys(floods)
const help = `Floods the login of the example gateway, and measures whether others get in.

  node bench/src/logins/main.mjs [options]

  --before <folder>  a checkout of an earlier version, built (npm run build): measured in the same run
  --rounds <n>       interleaved rounds, 1 to 20 (default: 3)
  --seconds <n>      of each scenario, 1 to 120 (default: 30)
  --rate <n>         logins a second of the flood, 1 to 500 (default: 50)
  --only <name>      one scenario; may be repeated (default: all)
                     ${names.join('; ')}
  --check            only that it runs, about 10 seconds; measures nothing
  --help             this text

It measures the compiled packages (npm run build), on loopback, with real password hashes: on a machine that does
nothing else. The gateway believes X-Forwarded-For, which says where each request comes from.`

const { values } = parseArgs({
  options: {
    before: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '30' },
    rate: { type: 'string', default: '50' },
    only: { type: 'string', multiple: true, default: names },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const rounds = values.check ? 1 : Number(values.rounds)
const seconds = values.check ? 1 : Number(values.seconds)
const rate = Number(values.rate)
/** Of a browser that was never seen before. */
const tries = values.check ? 1 : 5
const scenarios = values.check ? ['10,000 addresses', 'somebody with an account'] : values.only
const within = (/** @type {number} */ value, /** @type {number} */ most) =>
  Number.isInteger(value) && value >= 1 && value <= most
const isSound = within(rounds, 20) && within(seconds, 120) && within(rate, 500)
if (values.help || !isSound || !scenarios.every((name) => names.includes(name))) {
  console.log(help)
  process.exit(values.help ? 0 : 2)
}
const here = fileURLToPath(new URL('../../../', import.meta.url))
/** @type {Record<string, string>} */
const checkouts = { ...(values.before && { before: resolve(values.before) }), after: here }
for (const folder of Object.values(checkouts)) {
  if (existsSync(join(folder, 'examples', 'gateway', 'dist', 'main.js'))) continue
  console.error(`${folder} is not built: run \`npm run build\` there first.`)
  process.exit(2)
}

dieWithChildren()

/**
 * A gateway of its own, so that no scenario finds the locks of another.
 *
 * @param {string} folder
 * @param {string} scenario
 */
async function measure(folder, scenario) {
  const parent = mkdtempSync(join(tmpdir(), 'upgate-logins-'))
  const gateway = start(new URL('gateway.mjs', import.meta.url), [folder, join(parent, 'data')])
  const client = start(new URL('client.mjs', import.meta.url))
  try {
    const { port } = await gateway.ask({ what: 'where' }, 60_000)
    await gateway.ask({ what: 'begin' })
    const found = await client.ask({ port, scenario, seconds, rate, tries }, (seconds + 180) * 1000)
    return { ...found, loop: await gateway.ask({ what: 'end' }) }
  } finally {
    await Promise.all([gateway.stop(), client.stop()])
    rmSync(parent, { recursive: true, force: true })
  }
}

/** @type {Record<string, any[]>} */
const samples = {}
const random = seededRandom(1)
for (let round = 0; round < rounds; round++) {
  for (const scenario of scenarios) {
    for (const version of shuffled(Object.keys(checkouts), random)) {
      process.stderr.write(`round ${round + 1} of ${rounds}: ${scenario}, ${version}\n`)
      const id = `${scenario} ${version}`
      samples[id] = [...(samples[id] ?? []), await measure(checkouts[version] ?? '', scenario)]
    }
  }
}

if (values.check) {
  const known = Object.values(samples).flatMap((all) => all.flatMap((one) => one.known))
  if (known.length === 0) throw new Error('nothing was measured')
  console.log('It runs.')
  process.exit(0)
}

/** @param {number[]} all @param {number} share */
const percentile = (all, share) => {
  const sorted = [...all].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
const ms = (/** @type {number} */ value) => (Number.isNaN(value) ? '–' : `${Math.round(value)}`)
const percent = (/** @type {any[]} */ all, /** @type {(one: any) => boolean} */ ok) =>
  `${((100 * all.filter(ok).length) / all.length).toFixed(0)} % of ${all.length}`
const p95Of = (/** @type {any[]} */ all) =>
  ms(
    percentile(
      all.filter(({ ok }) => ok).map(({ took }) => took),
      0.95,
    ),
  )

const load = loadavg().map((each) => each.toFixed(1))
console.log(`${rate} logins a second for ${seconds} s, ${rounds} round(s); Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model}); load of the machine at the end: ${load.join(', ')}. Milliseconds.

| flood from | version | known browser gets in | p95 | new browser: first try | within five | p95 | other requests: p95 | loop delay: p99 | longest | CPU |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |`)
for (const scenario of scenarios) {
  for (const version of Object.keys(checkouts)) {
    const all = samples[`${scenario} ${version}`] ?? []
    const [known, unseen] = [all.flatMap((one) => one.known), all.flatMap((one) => one.unseen)]
    const others = all.flatMap((one) => one.others)
    const loop = all.map((one) => one.loop)
    const cells = [
      scenario,
      version,
      percent(known, ({ ok }) => ok),
      p95Of(known),
      percent(unseen, ({ ok, attempt }) => ok && attempt === 1),
      percent(unseen, ({ ok }) => ok),
      p95Of(unseen),
      ms(percentile(others, 0.95)),
      ms(Math.max(...loop.map(({ p99 }) => p99))),
      ms(Math.max(...loop.map(({ most }) => most))),
      `${((100 * loop.reduce((sum, { cpu }) => sum + cpu, 0)) / (rounds * seconds)).toFixed(0)} %`,
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
}
console.log('\nAnswers to the flood, by status, of the last round:')
for (const [id, all] of Object.entries(samples))
  console.log(`  ${id}: ${JSON.stringify(all.at(-1)?.flooded)}`)
process.exit(0)
