import type { SecretStore } from '../../core/ports/stores.ts'
import type { Database } from './tables.ts'

export function sqlSecrets({ read, transact }: Database): SecretStore {
  const find = (name: string): Promise<string | undefined> =>
    read(async (db) => {
      const query = db.selectFrom('upgate_secrets').select('value').where('name', '=', name)
      return (await query.executeTakeFirst())?.value
    })
  return {
    async keep(name, value) {
      const kept = await find(name)
      if (kept !== undefined) return kept
      await transact((db) =>
        db
          .insertInto('upgate_secrets')
          .values({ name, value })
          .onConflict((conflict) => conflict.doNothing())
          .execute(),
      )
      // Read in a separate statement: it sees the value that another process committed first.
      return (await find(name)) ?? value
    },
  }
}
