import { createClient } from 'redis'
import { redisUrl } from './services.ts'

/** A separate database for each worker of the test runner distinguishes the connections of a test file from others. */
export const database: number = 12 + (Number(process.env.VITEST_POOL_ID ?? 0) % 4)
const url = new URL(redisUrl)
url.pathname = `/${database}`
export const testRedisUrl: string = url.href

/** Runs one command on a separate connection. */
export async function command(...parts: string[]): Promise<unknown> {
  const client = createClient({ url: testRedisUrl })
  client.on('error', () => {})
  await client.connect()
  try {
    return await client.sendCommand(parts)
  } finally {
    client.destroy()
  }
}

export async function keysOf(prefix: string): Promise<string[]> {
  return ((await command('KEYS', `{${prefix}}:*`)) as string[]).sort()
}

export async function clear(prefix: string): Promise<void> {
  const keys = await keysOf(prefix)
  if (keys.length > 0) await command('DEL', ...keys)
}
