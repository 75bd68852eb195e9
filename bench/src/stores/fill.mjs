import { createServices } from 'upgate'

/**
 * The fields of a record, as hand-written code would keep them, with its token.
 *
 * @typedef {{ token: string, id: string, scopes: readonly string[] }} Known
 * @typedef {{ keys: Known[], sessions: Known[] }} Filled
 */

/** Sessions of one account: as many as it may have. */
const each = 10

/**
 * Puts credentials into a store, by the services.
 *
 * @param {import('upgate').Store} store
 * @param {number} count Of keys, and of sessions
 * @returns {Promise<Filled>}
 */
export async function fill(store, count) {
  const services = createServices({ store })
  const scopes = ['items.read', 'items.write']
  /** @type {Filled} */
  const filled = { keys: [], sessions: [] }
  for (let i = 0; i < count; i++) {
    const { token, id } = await services.keys.create({ name: `key ${i}`, scopes })
    filled.keys.push({ token, id, scopes })
  }
  for (let i = 0; i < count; i += each) {
    const made = await services.accounts.create({ email: `user-${i}@example.com`, scopes })
    if (made.outcome !== 'done') throw new Error(made.reason)
    const { id } = made.account
    for (let n = 0; n < Math.min(each, count - i); n++) {
      const session = await services.sessions.create(id)
      if (session === undefined) throw new Error('no session')
      filled.sessions.push({ token: session.token, id, scopes })
    }
  }
  await services.close()
  return filled
}
