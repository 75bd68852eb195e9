/*
 * Keys in Redis, below the prefix p:
 *   p session:<id>   hash    a session
 *   p account:<id>   zset    its sessions, by order of creation
 *   p ends, p seen   zset    all sessions, by absolute end and by last use: for purging
 *   p outbox         hash    revocations that are not in the log yet: time of the last attempt, draft
 *   p seq            number  order of creation, and names in the outbox
 */
const common = `
local p = KEYS[1]
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function drop(id, account)
  redis.call('DEL', p .. 'session:' .. id)
  redis.call('ZREM', p .. 'account:' .. account, id)
  redis.call('ZREM', p .. 'ends', id)
  redis.call('ZREM', p .. 'seen', id)
end
local function post(draft)
  local name = tostring(redis.call('INCR', p .. 'seq'))
  redis.call('HSET', p .. 'outbox', name, string.format('%.0f', now()) .. ' ' .. draft)
  return name
end
`

/** ARGV: account, then names of fields. */
export const listScript: string = `${common}
local found = {}
for _, id in ipairs(redis.call('ZREVRANGE', p .. 'account:' .. ARGV[1], 0, -1)) do
  found[#found + 1] = redis.call('HMGET', p .. 'session:' .. id, unpack(ARGV, 2))
end
return found`

/** ARGV: account, place after which the page begins, number, then names of fields. Answers ids with places, and values. */
export const pageScript: string = `${common}
local ids = redis.call('ZREVRANGEBYSCORE', p .. 'account:' .. ARGV[1], ARGV[2], '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local found = {}
for i = 1, #ids, 2 do
  found[#found + 1] = redis.call('HMGET', p .. 'session:' .. ids[i], unpack(ARGV, 4))
end
return { ids, found }`

/** ARGV: id, account, expiresAt, lastSeenAt, createdAt, atMost, then fields and values. */
export const addScript: string = `${common}
local id, account = ARGV[1], ARGV[2]
if redis.call('EXISTS', p .. 'session:' .. id) == 1 then return false end
for i = 7, #ARGV, 2 do redis.call('HSET', p .. 'session:' .. id, ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', p .. 'account:' .. account, redis.call('INCR', p .. 'seq'), id)
redis.call('ZADD', p .. 'ends', ARGV[3], id)
redis.call('ZADD', p .. 'seen', ARGV[4], id)
local posted = {}
for _, old in ipairs(redis.call('ZREVRANGE', p .. 'account:' .. account, ARGV[6], -1)) do
  drop(old, account)
  local draft = '{"at":' .. ARGV[5] .. ',"selector":{"sessionId":' .. cjson.encode(old) .. '},"reason":"revoked"}'
  posted[#posted + 1] = post(draft)
  posted[#posted + 1] = draft
end
return posted`

/** ARGV: id, draft. */
export const removeScript: string = `${common}
local account = redis.call('HGET', p .. 'session:' .. ARGV[1], 'accountId')
if not account then return false end
drop(ARGV[1], account)
return post(ARGV[2])`

/** ARGV: id, digest before, digest, previousDigest, previousUntil, draft. */
export const rotateScript: string = `${common}
local key = p .. 'session:' .. ARGV[1]
if redis.call('HGET', key, 'digest') ~= ARGV[2] then return false end
redis.call('HSET', key, 'digest', ARGV[3], 'previousDigest', ARGV[4], 'previousUntil', ARGV[5])
return post(ARGV[6])`

/** ARGV: account, generation. */
export const removeOfScript: string = `${common}
local removed = 0
for _, id in ipairs(redis.call('ZRANGE', p .. 'account:' .. ARGV[1], 0, -1)) do
  if tonumber(redis.call('HGET', p .. 'session:' .. id, 'generation')) < tonumber(ARGV[2]) then
    drop(id, ARGV[1])
    removed = removed + 1
  end
end
return removed`

/** ARGV: end, last use, largest number. */
export const purgeScript: string = `${common}
local removed = 0
local function purge(index, limit)
  local ids = redis.call('ZRANGEBYSCORE', p .. index, '-inf', limit, 'LIMIT', 0, ARGV[3] - removed)
  for _, id in ipairs(ids) do
    drop(id, redis.call('HGET', p .. 'session:' .. id, 'accountId') or '')
    removed = removed + 1
  end
end
purge('ends', ARGV[1])
purge('seen', '(' .. ARGV[2])
return removed`

/** ARGV: ids and times. */
export const touchScript: string = `${common}
for i = 1, #ARGV, 2 do
  local key = p .. 'session:' .. ARGV[i]
  local seen = redis.call('HGET', key, 'lastSeenAt')
  if seen and tonumber(seen) < tonumber(ARGV[i + 1]) then
    redis.call('HSET', key, 'lastSeenAt', ARGV[i + 1])
    redis.call('ZADD', p .. 'seen', ARGV[i + 1], ARGV[i])
  end
end
return 0`

/**
 * Claims revocations that another instance last tried so many milliseconds ago and did not finish. ARGV:
 * milliseconds.
 */
export const claimScript: string = `${common}
local claimed = {}
if redis.call('HLEN', p .. 'outbox') == 0 then return claimed end
local at = now()
local all = redis.call('HGETALL', p .. 'outbox')
for i = 1, #all, 2 do
  local tried, draft = string.match(all[i + 1], '^(%d+) (.*)$')
  if tonumber(tried) <= at - tonumber(ARGV[1]) then
    redis.call('HSET', p .. 'outbox', all[i], string.format('%.0f', at) .. ' ' .. draft)
    claimed[#claimed + 1] = all[i]
    claimed[#claimed + 1] = draft
  end
end
return claimed`

/** ARGV: names in the outbox. */
export const doneScript: string = `return redis.call('HDEL', KEYS[1] .. 'outbox', unpack(ARGV))`
