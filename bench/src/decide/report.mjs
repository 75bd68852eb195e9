import { estimate, ratios } from '../statistics.mjs'
import { cell, fine, interval, table } from '../table.mjs'
import { decideTargets, verdict } from '../targets.mjs'
import { names } from './names.mjs'

/** @param {import('../suite.mjs').Result} result */
export function reportDecide({ samples, settings, seed }) {
  const rows = Object.entries(names).flatMap(([id, { name, floorName }]) => {
    const { ours, floor } = samples[id] ?? {}
    if (ours === undefined || floor === undefined) return []
    const own = estimate(ours, seed)
    return [
      [
        name,
        interval(own, fine),
        `${floorName}: ${fine(estimate(floor, seed).median)}`,
        cell(ratios(ours, floor), seed),
        verdict(own, decideTargets[id]),
      ],
    ]
  })
  return `## decide(), microseconds

In one process a round, floor and gate in ${settings.batches} alternating batches of ${settings.batch} requests each, median batch. Three schemes (session cookie, API key, device token), six rules, records in memory. Credentials have been verified before, so every look-up is a cache hit, as it is for a credential in use; the token is hashed each time. Each request is a new object with new strings, as the HTTP parser makes them, and eight headers (Host, seven common ones), plus the credential's. The first row alone uses one request over and over. Garbage collection falls into few batches and so hardly counts here; it does below.

${table(['request', 'Upgate', 'floor', 'ratio', 'target (µs)'], rows, { lastIsText: true })}`
}
