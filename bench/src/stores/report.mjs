import { estimate, median, ratios } from '../statistics.mjs'
import { cell, counted, fine, short, table } from '../table.mjs'
import { storeTargets, verdict } from '../targets.mjs'
import { names } from './names.mjs'

const titles = { key: 'API keys', session: 'Sessions' }

/** @param {import('../suite.mjs').Result} result */
export function reportStores({ samples, settings, seed, conditions }) {
  /** @param {string} id @param {readonly number[]} uncached @param {readonly number[]} hand */
  const verdictOf = (id, uncached, hand) => {
    const target = storeTargets[id]
    if (target === undefined || uncached.length === 0) return ''
    return 'ratio' in target
      ? `ratio ${verdict(estimate(ratios(uncached, hand), seed), target.ratio)}`
      : `µs ${verdict(estimate(uncached, seed), target.microseconds)}`
  }
  const parts = Object.entries(titles).map(([kind, title]) => {
    const known = samples[`memory ${kind}`]?.cached ?? []
    const rows = Object.entries(names).flatMap(([id, { name }]) => {
      const of = samples[`${id} ${kind}`]
      if (of === undefined) return []
      const { cached = [], uncached = [], hand = [], uncachedCpu = [], handCpu = [] } = of
      return [
        [
          name,
          cell(cached, seed, fine),
          cell(uncached, seed, fine),
          `${fine(median(hand))}`,
          cell(ratios(uncached, hand), seed),
          cell(ratios(uncached, known), seed),
          id === 'memory' ? '1' : cell(ratios(cached, known), seed),
          `${short(median(uncachedCpu))} / ${short(median(handCpu))}`,
          verdictOf(`${id} ${kind}`, uncached, hand),
        ],
      ]
    })
    const head = [
      'records in',
      'cached, µs',
      'not cached, µs',
      'by hand, µs',
      'not cached / by hand',
      'not cached / cached in memory',
      'cached / cached in memory',
      'own CPU µs, not cached / by hand',
      'target',
    ]
    return `### ${title}\n\n${table(head, rows, { lastIsText: true })}`
  })
  const missing = [
    ...(conditions.postgres ? [] : ['PostgreSQL (`UPGATE_POSTGRES_URL` was not set)']),
    ...(conditions.redis ? [] : ['Redis (`UPGATE_REDIS_URL` was not set)']),
  ]
  const leftOut = missing.length === 0 ? '' : `\n\n**Left out**: ${missing.join(', ')}.`
  return `## Keys and sessions, by store

\`keys.verify\` and \`sessions.verify\`, one after the other, in a fresh process for each store: ${counted(settings.count)} credentials of each kind, in ${settings.batches} alternating batches of ${settings.batch} (${settings.cachedBatch} where cached), median batch. *Cached* is a credential that was verified before: its store is not asked. *Not cached* is one whose cache entry is gone. *By hand* is the digest and one bare query by it through the same driver, which is prepared once, and a look at the expiry: for a session a join with its account; in Redis one \`GET\` of everything about it, account included. Upgate reads the whole record by its public id, a session with its account: in one query, or in two where the account is elsewhere; it compares the digest itself, and bounds every look-up in time. Database servers run on this machine, on the same cores.${leftOut}

${parts.join('\n\n')}`
}
