import { start } from '../children.mjs'
import { postgresUrl } from '../machine.mjs'
import { shuffled } from '../statistics.mjs'
import { clear, createPlace } from '../stores/place.mjs'
import { guards } from './guards.mjs'
import { reportRevocation } from './report.mjs'

const servers = { postgres: postgresUrl !== '', redis: false }

/**
 * From the request that revokes to the close frames that clients get: a fresh server and client for every sample.
 *
 * @type {import('../suite.mjs').Suite}
 */
export const revocation = {
  name: 'revocation',
  rounds: 15,
  share: 42,
  settings: (mode) =>
    ({
      full: { sockets: 1000, single: 100 },
      quick: { sockets: 500, single: 50 },
      check: { sockets: 20, single: 5 },
    })[mode],
  needs: ({ sockets, single }) => ({ files: sockets + single + 100 }),
  async *measure({ random, settings }) {
    for (const guard of shuffled(Object.keys(guards), random)) {
      if (guard === 'postgres' && !servers.postgres) continue
      yield { id: guard, values: await sample(guard, settings) }
    }
  },
  report: reportRevocation,
}

/**
 * Milliseconds until the one socket of a principal has its close frame, median and slowest of many; and until the last
 * of a principal's many sockets has.
 *
 * @param {string} guard
 * @param {{ sockets: number, single: number }} settings
 * @returns {Promise<Record<string, number>>}
 */
async function sample(guard, { sockets, single }) {
  const place = createPlace()
  const program = new URL('live-server.mjs', import.meta.url)
  const args = [guard, `${single + 1}`, place.folder, place.schema]
  const server = start(program, args, [], { core: 'server' })
  const client = start(new URL('client.mjs', import.meta.url), [], [], { core: 'client' })
  try {
    const { port, admin, tokens } = await server.ask({ what: 'where' })
    await client.ask({ what: 'open', port, tokens: tokens.slice(0, single), count: single })
    await client.ask({ what: 'open', port, tokens: tokens.slice(single), count: sockets })
    return await client.ask({ what: 'revoke', admin, single, sockets })
  } finally {
    await Promise.all([server.stop(), client.stop()])
    await clear(place, { ...servers, postgres: guard === 'postgres' })
  }
}
