import type { Revocation } from '../../core/ports/revocations.ts'
import {
  type RevocationDraft,
  type RevocationLog,
  type SessionRecord,
  type SessionStore,
  StoreUnavailable,
} from '../../core/ports/stores.ts'
import type { SessionPart } from '../compose.ts'
import { connectRedis, pairs, type RedisConnection, type RedisPartOptions } from './connection.ts'
import * as scripts from './session-scripts.ts'

/** Options of {@link redisSessions}. Unknown options throw. */
export type RedisSessionsOptions = RedisPartOptions

/** Milliseconds after which another instance finishes a revocation that was begun and not finished. */
const lease = 10_000
const batch = 500

/**
 * Opens a store of sessions in Redis (6.2 or newer, or Valkey), as a part of a store with its log and
 * accounts in a database.
 *
 * Every operation is one script, and so atomic. A revocation is first noted in Redis together with the
 * change, then written to the log; if the process ends in between, another instance writes it.
 *
 * Redis keeps only the data that its persistence keeps: after a failover that lost the last second, a session
 * that was ended in that second exists again. Ending all sessions of an account (a new password, disabling,
 * `revokeAll`) is recorded in the database and not affected. Needs the package `redis`.
 *
 * @param options - `url` is required
 * @throws TypeError for a bad option or a missing package
 * @throws StoreUnavailable when the server cannot be reached
 * @example
 * import { composeStores } from 'upgate'
 * import { redisSessions } from 'upgate/redis'
 * const store = composeStores(await postgresStore({ connectionString }), {
 *   sessions: await redisSessions({ url: 'redis://127.0.0.1:6379' }),
 * })
 */
export async function redisSessions(options: RedisSessionsOptions): Promise<SessionPart> {
  const redis = await connectRedis('redisSessions', options)
  return {
    over: (log) => sessionsOver(redis, log),
    async settle(log) {
      await settleIn(redis, log, pairs(await redis.run(scripts.claimScript, [`${lease}`])))
    },
    close: redis.close,
  }
}

function sessionsOver(redis: RedisConnection, log: RevocationLog): SessionStore {
  return {
    async get(id) {
      return recordOf(await redis.fields(`session:${id}`, names))
    },
    async list(accountId) {
      const found = (await redis.run(scripts.listScript, [accountId, ...names])) as Values[]
      return found.map(recordOf).filter((record) => record !== undefined)
    },
    async page(accountId, { after, limit }) {
      const [ids = [], found = []] = (await redis.run(scripts.pageScript, [
        accountId,
        ...[after === undefined ? '+inf' : `(${/^\d{1,15}$/.test(after) ? after : 0}`, `${limit + 1}`],
        ...names,
      ])) as [string[], Values[]]
      const records = found.slice(0, limit).map(recordOf)
      const next = ids.length > 2 * limit ? String(ids[2 * limit - 1]) : undefined
      return { records: records.filter((record) => record !== undefined), next }
    },
    async add(record, atMost) {
      const { id, accountId, expiresAt, lastSeenAt, createdAt } = record
      const args = [
        id,
        accountId,
        ...[expiresAt, lastSeenAt, createdAt, atMost].map(String),
        ...fieldsOf(record),
      ]
      const posted = await redis.run(scripts.addScript, args)
      return posted === null ? undefined : settleIn(redis, log, pairs(posted))
    },
    async rotate(id, from, to, draft) {
      const text = JSON.stringify(draft)
      const digests = [to.digest, to.previousDigest ?? '', `${to.previousUntil ?? 0}`]
      const name = await redis.run(scripts.rotateScript, [id, from, ...digests, text])
      return name === null ? undefined : (await settleIn(redis, log, [[String(name), text]]))[0]
    },
    async remove(id, draft) {
      const text = JSON.stringify(draft)
      const name = await redis.run(scripts.removeScript, [id, text])
      return name === null ? undefined : (await settleIn(redis, log, [[String(name), text]]))[0]
    },
    async removeOf(accountId, generation) {
      return Number(await redis.run(scripts.removeOfScript, [accountId, `${generation}`]))
    },
    async purge(expiredBy, lastSeenBefore, atMost) {
      let removed = 0
      while (removed < atMost) {
        const some = Math.min(batch, atMost - removed)
        const args = [expiredBy, lastSeenBefore, some].map(String)
        const now = Number(await redis.run(scripts.purgeScript, args))
        removed += now
        if (now < some) break
      }
      return removed
    },
    async touch(touches) {
      for (let from = 0; from < touches.length; from += batch) {
        const part = touches.slice(from, from + batch)
        await redis.run(
          scripts.touchScript,
          part.flatMap(({ id, at }) => [id, `${at}`]),
        )
      }
    },
  }
}

/**
 * Writes revocations from the outbox to the log. A revocation that cannot be written stays in the outbox, and
 * the next reader of the log tries again.
 */
async function settleIn(
  redis: RedisConnection,
  log: RevocationLog,
  posted: readonly (readonly [name: string, draft: string])[],
): Promise<readonly Revocation[]> {
  if (posted.length === 0) return []
  const entries = await log.append(posted.map(([, draft]) => JSON.parse(draft) as RevocationDraft))
  // Writing the same revocation twice would be harmless.
  await redis
    .run(
      scripts.doneScript,
      posted.map(([name]) => name),
    )
    .catch(() => {})
  return entries
}

const times = ['createdAt', 'lastSeenAt', 'expiresAt', 'previousUntil', 'generation'] as const
const texts = ['id', 'digest', 'previousDigest', 'accountId', 'label', 'clientAddress'] as const
const names = [...texts, ...times] as const

function fieldsOf(record: SessionRecord): string[] {
  return names.flatMap((name) => {
    const value = record[name]
    return value === undefined ? [] : [name, String(value)]
  })
}

/** Values of the fields, in the order of `names`. */
type Values = readonly (string | null)[]

function recordOf(values: Values): SessionRecord | undefined {
  if (values.every((value) => value === null)) return undefined
  const record: Record<string, string | number> = {}
  for (let i = 0; i < names.length; i++) {
    const value = values[i]
    if (value === null || value === undefined) continue
    const number = i < texts.length ? 0 : Number(value)
    if (!Number.isSafeInteger(number)) damaged()
    record[names[i] as string] = i < texts.length ? value : number
  }
  if (record.digest === undefined || record.expiresAt === undefined || record.lastSeenAt === undefined)
    damaged()
  return record as unknown as SessionRecord
}

function damaged(): never {
  throw new StoreUnavailable('store_corrupt', 'A session in Redis is damaged.')
}
