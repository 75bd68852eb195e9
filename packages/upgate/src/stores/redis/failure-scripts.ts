import { failureRules } from '../../core/ports/failures.ts'

const { window, firstLock, longestLock, forgetAfter } = failureRules
/** Milliseconds for which a success is remembered: thirty days. */
const knownFor = 30 * 86_400_000

/*
 * Keys in Redis, below the prefix p. They expire when their data no longer matters:
 *   p failures:<key>  hash  a count: attempts since its start, number of locks, and end of the lock
 *   p failures        zset  all counts, by expiry: their number is bounded
 *   p known           zset  keys that succeeded, by time of success
 * ARGV[1] is the time, or empty to use the server's, which is the same for all instances.
 */
const common = `
local p = KEYS[1]
local index = p .. 'failures'
local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local function text(number) return string.format('%.0f', number) end
-- What state means: 0 counting; 1 full, the attempt that reached the limit is not decided yet; 2 locked.
local function load(key)
  local v = redis.call('HMGET', p .. 'failures:' .. key, 'failures', 'start', 'till', 'locks', 'state')
  if not v[2] then return nil end
  local e = { key = key, failures = tonumber(v[1]), start = tonumber(v[2]), till = tonumber(v[3]),
    locks = tonumber(v[4]), state = tonumber(v[5]) }
  -- A clock set back must not lock anybody for longer than the longest lock.
  if e.till > now + ${longestLock} then e.till = now + ${longestLock} end
  if e.state > 0 and e.till > now then return e end
  if now - e.till > ${forgetAfter} then e.locks = 0 end
  if e.state > 0 or now - e.start >= ${window} or now < e.start then
    e.state, e.failures, e.start = 0, 0, now
  end
  return e
end
local function forget(key)
  redis.call('DEL', p .. 'failures:' .. key)
  redis.call('ZREM', index, key)
end
local function save(e)
  local till = now + ${window}
  if e.locks > 0 then till = math.max(now, e.till) + ${forgetAfter} end
  local key = p .. 'failures:' .. e.key
  redis.call('HSET', key, 'failures', e.failures, 'start', text(e.start), 'till', text(e.till),
    'locks', e.locks, 'state', e.state)
  redis.call('PEXPIRE', key, text(till - now))
  redis.call('ZADD', index, text(till), e.key)
  if redis.call('PTTL', index) < till - now then redis.call('PEXPIRE', index, text(till - now)) end
end
`

/**
 * ARGV: time, 1 for a dry run, largest number of counts, then for each count its key, limit, and 1 for
 * strangers only.
 *
 * Answers the milliseconds to wait and the index (from 0) of the count that demands it. Or answers 0 =
 * reserved, 1 if the first key succeeded before, and then for each reserved count its key, start, and 1 if it
 * is full.
 */
export const beginScript: string = `${common}
local known = redis.call('ZSCORE', p .. 'known', ARGV[4])
known = known and now - tonumber(known) < ${knownFor}
local wait, longest, entries, reserved = 0, 0, {}, {}
for i = 4, #ARGV, 3 do
  if not (known and ARGV[i + 2] == '1') then
    local e = load(ARGV[i]) or { key = ARGV[i], failures = 0, start = now, till = 0, locks = 0, state = 0 }
    e.limit = tonumber(ARGV[i + 1])
    entries[#entries + 1] = e
    reserved[e.key] = true
    if e.state > 0 then
      local left = e.till - now
      if e.state == 1 then left = math.min(left, 1000) end
      if left > wait then
        wait = left
        longest = (i - 4) / 3
      end
    end
  end
end
if wait > 0 then return { text(wait), text(longest) } end
local answer = { '0', known and '1' or '' }
if ARGV[2] == '1' then return answer end
for _, e in ipairs(entries) do
  e.failures = e.failures + 1
  if e.failures >= e.limit then
    e.state = 1
    e.till = now + math.min(${firstLock} * 2 ^ math.min(e.locks, 30), ${longestLock})
    e.locks = e.locks + 1
  end
  save(e)
  answer[#answer + 1] = e.key
  answer[#answer + 1] = text(e.start)
  answer[#answer + 1] = tostring(e.state)
end
-- What expired by itself leaves the index a little at a time, faster than it fills.
local gone = redis.call('ZRANGEBYSCORE', index, '-inf', text(now), 'LIMIT', 0, 16)
if #gone > 0 then redis.call('ZREM', index, unpack(gone)) end
-- Evict the counts that expire first, so that locked ones go last: flooding must not unlock a key.
local surplus = redis.call('ZCARD', index) - tonumber(ARGV[3])
if surplus > 0 then
  -- Nor must filling it with locks be a way not to be counted: a quarter is for the others.
  local locked, first = redis.call('ZCOUNT', index, '(' .. text(now + ${window}), '+inf'), 0
  if locked > tonumber(ARGV[3]) * 0.75 then first = redis.call('ZCARD', index) - locked end
  for _, key in ipairs(redis.call('ZRANGE', index, first, first + math.min(surplus, 16) + #entries - 1)) do
    if surplus > 0 and not reserved[key] then
      forget(key)
      surplus = surplus - 1
    end
  end
end
return answer`

/**
 * ARGV: time, result of the attempt, largest number of successes, then for each reserved count its key, start
 * and state.
 */
export const endScript: string = `${common}
for i = 4, #ARGV, 3 do
  local e = load(ARGV[i])
  -- Cleared or restarted since: the count no longer holds the reservation.
  if e and text(e.start) == ARGV[i + 1] then
    if ARGV[2] == 'failed' then
      if ARGV[i + 2] == '1' and e.state == 1 then
        e.state = 2
        save(e)
      end
    else
      -- Takes the reservation back, and with it the lock that came of it.
      e.failures = e.failures - 1
      if e.state > 0 then
        e.state, e.till, e.locks = 0, now, e.locks - 1
      end
      if e.failures <= 0 and e.locks == 0 then forget(e.key) else save(e) end
    end
  end
end
if ARGV[2] == 'succeeded' then
  -- Only the first count is cleared: one good login must not pay for guesses at other accounts.
  forget(ARGV[4])
  redis.call('ZADD', p .. 'known', text(now), ARGV[4])
  redis.call('ZREMRANGEBYRANK', p .. 'known', 0, -1 - tonumber(ARGV[3]))
  redis.call('PEXPIRE', p .. 'known', ${knownFor})
end
return 0`
