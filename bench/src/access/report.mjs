import { estimate, ratios } from '../statistics.mjs'
import { verdict } from '../targets.mjs'

/** Microseconds a decision with a token that was seen before. */
const target = { atMost: 2 }

/** @param {number} value */
const short = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0))

/** @param {import('../statistics.mjs').Estimate} estimate */
const interval = ({ median, low, high }) => `${short(median)} (${short(low)}–${short(high)})`

/**
 * @param {import('./suite.mjs').AccessResult} result
 * @param {number} seed
 */
export function reportAccess({ contenders, samples }, seed) {
  const of = (/** @type {string} */ id) => samples[id] ?? { seen: [], first: [] }
  const ours = of('upgate')
  const rows = contenders.map(({ id, name }) => {
    const { seen, first } = of(id)
    const own = id.startsWith('upgate')
    return [
      name,
      interval(estimate(seen, seed)),
      id === 'upgate' ? '1' : interval(estimate(ratios(seen, ours.seen), seed)),
      interval(estimate(first, seed)),
      id === 'upgate' ? '1' : interval(estimate(ratios(first, ours.first), seed)),
      own ? verdict(estimate(seen, seed), target) : '',
    ]
  })
  const head = ['', 'seen before, µs', 'to Upgate', 'first sight, µs', 'to Upgate', 'target (seen, µs)']
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |`
  return `## Cloudflare Access, microseconds

One user token (RS256, 2,048 bits), checked for signature, issuer, audience and time by everyone; keys are at hand. Only Upgate's rows are whole decisions, with rules, Host, Origin and headers; the others stop at the token, except that \`@hono/cloudflare-access\` needs a Request and a route to run. fast-jwt's cache keeps a token until it expires, whatever happens to its key meanwhile.

${[line(head), '| --- | ---: | ---: | ---: | ---: | --- |', ...rows.map(line)].join('\n')}`
}
