// Needs Redis.
import { redisFailures } from 'upgate/redis'
import { manualClock } from 'upgate/testing'
import { expect, test } from 'vitest'
import { clear, testRedisUrl } from './redis.ts'
import { patience, redisAnswers, uniqueName } from './services.ts'

test.skipIf(!(await redisAnswers()))('many locked keys in Redis leave room to count other keys', async () => {
  const prefix = uniqueName()
  const store = await redisFailures({
    url: testRedisUrl,
    prefix,
    maxEntries: 100,
    clock: manualClock(),
    timeout: patience,
  })
  const guess = async (key: string, limit: number): Promise<boolean> => {
    const attempt = await store.begin([{ key, limit }])
    if (attempt.allowed) await attempt.end('failed')
    return attempt.allowed
  }
  try {
    for (let n = 0; n < 150; n++) await guess(`locked ${n}`, 1)
    let allowed = 0
    for (let i = 0; i < 20; i++) for (let n = 0; n < 5; n++) if (await guess(`other ${n}`, 10)) allowed++
    expect(allowed).toBe(50)
  } finally {
    await store.close()
    await clear(prefix)
  }
})
