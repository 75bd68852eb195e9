import { StoreUnavailable } from '../../core/ports/stores.ts'
import type { TicketRecord } from '../../core/ports/tickets.ts'
import { sha256 } from '../../crypto/sha256.ts'
import type { TicketPart } from '../compose.ts'
import { connectRedis, type RedisPartOptions } from './connection.ts'

/** Milliseconds that a ticket is kept after its expiry, so that a late client learns that it expired. */
const slack = 60_000
const batch = 500

/*
 * Keys in Redis, below the prefix p. All of them expire by themselves:
 *   p ticket:<id>      string  digest of the owner, a space, the record in JSON
 *   p tickets:<owner>  zset    tickets of one principal, by order of creation
 *   p tickets          zset    all tickets, by expiry
 *   p ticket-seq       number  order of creation
 */
const common = `
local p = KEYS[1]
local function drop(id)
  local found = redis.call('GET', p .. 'ticket:' .. id)
  redis.call('ZREM', p .. 'tickets', id)
  if not found then return false end
  redis.call('DEL', p .. 'ticket:' .. id)
  local owner, body = string.match(found, '^(%S+) (.*)$')
  redis.call('ZREM', p .. 'tickets:' .. owner, id)
  return body
end
local function keep(key, milliseconds)
  if redis.call('PTTL', key) < milliseconds then redis.call('PEXPIRE', key, milliseconds) end
end
`

/** ARGV: id, digest of the owner, record, its life in milliseconds, its expiry, largest number. */
const addScript = `${common}
local id, owner, life = ARGV[1], ARGV[2], tonumber(ARGV[4])
if not redis.call('SET', p .. 'ticket:' .. id, owner .. ' ' .. ARGV[3], 'NX', 'PX', life) then return 0 end
redis.call('ZADD', p .. 'tickets:' .. owner, redis.call('INCR', p .. 'ticket-seq'), id)
redis.call('ZADD', p .. 'tickets', ARGV[5], id)
for _, key in ipairs({ 'tickets:' .. owner, 'tickets', 'ticket-seq' }) do keep(p .. key, life) end
for _, old in ipairs(redis.call('ZREVRANGE', p .. 'tickets:' .. owner, ARGV[6], -1)) do
  if not drop(old) then redis.call('ZREM', p .. 'tickets:' .. owner, old) end
end
return 1`

const getScript = `
local found = redis.call('GET', KEYS[1] .. 'ticket:' .. ARGV[1])
return found and string.match(found, '^%S+ (.*)$')`

const takeScript = `${common}
return drop(ARGV[1])`

/**
 * ARGV: time of expiry, largest number. Answers how many tickets it checked, and how many of them still
 * existed.
 */
const purgeScript = `${common}
local ids = redis.call('ZRANGEBYSCORE', p .. 'tickets', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local dropped = 0
for _, id in ipairs(ids) do
  if drop(id) then dropped = dropped + 1 end
end
return { #ids, dropped }`

/**
 * Opens a store of tickets in Redis (6.2 or newer, or Valkey), as a part of a store with its other records in
 * a database.
 *
 * Every operation is one script, and so atomic: a ticket sent to several instances at once is accepted by
 * one. Redis keeps only the data that its persistence keeps: after a failover that lost the last second, a
 * ticket that was used in that second counts once more until its 30 seconds are over. Needs the package
 * `redis`.
 *
 * @param options - `url` is required
 * @throws TypeError for a bad option or a missing package
 * @throws StoreUnavailable when the server cannot be reached
 * @example
 * import { composeStores } from 'upgate'
 * import { redisTickets } from 'upgate/redis'
 * const store = composeStores(await postgresStore({ connectionString }), {
 *   tickets: await redisTickets({ url: 'redis://127.0.0.1:6379' }),
 * })
 */
export async function redisTickets(options: RedisPartOptions): Promise<TicketPart> {
  const redis = await connectRedis('redisTickets', options)
  return {
    async add(record, atMost) {
      const { id, principal, createdAt, expiresAt } = record
      // The digest keeps the key short and its characters harmless for any principal id.
      const owner = sha256(`${principal.kind}:${principal.id}`)
      // A duration instead of a point in time: the clock of the server may differ from ours.
      const life = Math.max(0, expiresAt - createdAt) + slack
      const args = [id, owner, JSON.stringify(record), `${life}`, `${expiresAt}`, `${atMost}`]
      return (await redis.run(addScript, args)) === 1
    },
    async get(id) {
      return recordOf(await redis.run(getScript, [id]))
    },
    async take(id) {
      return recordOf(await redis.run(takeScript, [id]))
    },
    async purge(expiredBy, atMost) {
      let purged = 0
      while (purged < atMost) {
        const some = Math.min(batch, atMost - purged)
        const reply = (await redis.run(purgeScript, [`${expiredBy}`, `${some}`])) as number[]
        purged += Number(reply[1])
        if (Number(reply[0]) < some) break
      }
      return purged
    },
    close: redis.close,
  }
}

function recordOf(reply: unknown): TicketRecord | undefined {
  if (typeof reply !== 'string') return undefined
  try {
    return JSON.parse(reply) as TicketRecord
  } catch (error) {
    throw new StoreUnavailable('store_corrupt', 'A ticket in Redis is damaged.', { cause: error })
  }
}
