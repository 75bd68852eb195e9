import { claimsTable } from './claims/documents.mjs'
import { plotsFor } from './plots/plots.mjs'
import { counted } from './table.mjs'
import { enough } from './targets.mjs'

/** @typedef {import('./suite.mjs').Result} Result */

const intro = `# Results

Written by \`npm run bench -- --write\` from the files of this folder, one for each suite: each states when, where and how long it was measured. No figure is typed by hand, here or in the README files that cite this page.

## How to read it

- A figure is a **ratio within one run**; absolute values are of that machine, on that day. Each is the median of the ratios of all rounds, with its 95 % interval (bootstrap of the median, 4,000 resamples) in brackets. A target is met only if the bad end of the interval meets it, and nothing is said about it below ${enough} rounds.
- **Throughput** ratios above 1 and **CPU** ratios below 1 are good. CPU is what the server's own process spent (\`process.cpuUsage\`), garbage collection included: it suffers less from whatever else the machine does. Clients stay awake, since waking them up is charged to the server.
- **Control**: the bare server, measured as if it were another one. How far its interval is from 1 is how far any of these figures may be off.
- **By hand** is the smallest code that does the same work: one \`Map\` of public paths, and \`crypto.hash('sha256')\` of the token, a \`Map\` of known digests, an expiry check. It has no rules, no canonical paths, no Origin or Host check, no revocation and no limits.
- The compiled package is measured, through its public entries only. Every process is fresh, and the order of samples is random.`

/**
 * The page, from what there is.
 *
 * @param {readonly import('./suite.mjs').Suite[]} suites
 * @param {ReadonlyMap<string, Result>} results
 */
export function writePage(suites, results) {
  const parts = suites.flatMap((suite) => {
    const result = results.get(suite.name)
    return result === undefined ? [] : [section(suite, result)]
  })
  const missing = suites.filter(({ name }) => !results.has(name)).map(({ name }) => `\`${name}\``)
  const note = missing.length === 0 ? [] : [`Not measured yet: ${missing.join(', ')}.`]
  return `${[intro, ...note, claimsTable(results), ...parts].join('\n\n').replace(/\n{3,}/g, '\n\n')}\n`
}

/**
 * A suite's part, with its circumstances under its heading.
 *
 * @param {import('./suite.mjs').Suite} suite
 * @param {Result} result
 */
export function section(suite, result) {
  const [heading = '', ...text] = suite.report(result).split('\n')
  const plots = plotsFor(result).map(({ name, title, unit }) => `![${title}: ${unit}](plots/${name}.svg)`)
  return [heading, '', circumstances(result), ...text, '', plots.join('\n\n')].join('\n').trimEnd()
}

/** @param {Result} result */
function circumstances({ started, rounds, planned, seconds, repeated, seed, mode, conditions }) {
  const { node, machine, versions, commit, placement } = conditions
  const facts = [
    started.slice(0, 10),
    `${rounds} ${rounds === 1 ? 'round' : 'rounds'}${rounds < planned ? ` of ${planned}` : ''} in ${(seconds / 60).toFixed(1)} minutes`,
    ...(repeated === 0 ? [] : [`${counted(repeated)} measured anew after a failure`]),
    `seed ${seed}`,
    `Node ${node}`,
    machine,
    `server and client ${placement}`,
    versions,
    ...(commit === '' ? [] : [`commit ${commit}`]),
  ]
  const warning =
    mode === 'full' && rounds >= enough
      ? ''
      : ` **Orientation only**: ${mode === 'full' ? 'too few rounds' : 'a quick run'}.`
  return `*${facts.join('; ')}.*${warning}`
}
