import { estimate, ratios } from '../statistics.mjs'
import { cell, table } from '../table.mjs'
import { verdict } from '../targets.mjs'
import { names } from './names.mjs'

/** Microseconds a decision with a token that was seen before. */
const target = { atMost: 2 }

/** @param {import('../suite.mjs').Result} result */
export function reportAccess({ samples, seed }) {
  const of = (/** @type {string} */ id) => samples[id] ?? {}
  const ours = of('upgate')
  const rows = Object.entries(names).map(([id, name]) => {
    const toOurs = (/** @type {'seen' | 'first'} */ measure) =>
      id === 'upgate' ? '1' : cell(ratios(of(id)[measure] ?? [], ours[measure] ?? []), seed)
    const aim = (/** @type {readonly number[]} */ values) =>
      `${verdict(estimate(values, seed), target)}; the floor is ${cell(of('floor').seen, seed)}, this ${cell(ratios(values, of('floor').seen ?? []), seed)} of it`
    const { seen = [], first } = of(id)
    return [
      name,
      cell(seen, seed),
      toOurs('seen'),
      cell(first, seed),
      toOurs('first'),
      id.startsWith('upgate') && seen.length > 0 ? aim(seen) : '',
    ]
  })
  const head = ['', 'seen before, µs', 'to Upgate', 'first sight, µs', 'to Upgate', 'target (seen, µs)']
  return `## Cloudflare Access, microseconds

One user token (RS256, 2,048 bits), checked for signature, issuer, audience and time by everyone; keys are at hand. Only Upgate's rows are whole decisions, with rules, Host, Origin and headers; the others stop at the token, except that \`@hono/cloudflare-access\` needs a Request and a route to run. The floor is what nobody can do without who remembers tokens and does not keep them. fast-jwt's cache keeps a token until it expires, whatever happens to its key meanwhile.

${table(head, rows, { lastIsText: true })}`
}
