import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Libsql from 'libsql'
import { redisFailures } from 'upgate/redis'
import { postgresStore, sqliteStore } from 'upgate/sql'
import { manualClock } from 'upgate/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upgate-time-outs-'))
})

afterEach(() => rm(folder, { recursive: true, force: true }))

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

describe('time-outs use the injected clock', () => {
  test('sqliteStore waits for a writer for `busyTimeout`, and no longer', async () => {
    const clock = manualClock()
    const store = await sqliteStore({ file: join(folder, 'a.db'), busyTimeout: 60_000, clock })
    const other = new Libsql(join(folder, 'a.db'))
    other.exec('begin immediate')
    let settled = 0
    const add = (id: string) => {
      const key = { id, version: 1, digest: id, name: id, scopes: [], roles: [], createdAt: 1 }
      return store.keys.add(key).finally(() => {
        settled++
      })
    }
    const first = add('a')
    await until(() => clock.pending === 2)
    clock.advance(59_999)
    await until(() => clock.pending === 2)
    expect(settled).toBe(0)
    clock.advance(20)
    await expect(first).rejects.toMatchObject({ code: 'store_busy' })
    const second = add('b')
    await until(() => clock.pending === 2)
    other.exec('rollback')
    clock.advance(20)
    await second
    expect(clock.pending, 'no timer is left').toBe(0)
    other.close()
    await store.close()
  })

  test('postgresStore gives up on a pool that gives no connection', async () => {
    const clock = manualClock()
    let asked = 0
    const pool = {
      connect: () => {
        asked++
        return new Promise<never>(() => {})
      },
      on: () => {},
      off: () => {},
      end: async () => {},
    }
    let settled = false
    const opening = postgresStore({ pool, timeout: 60_000, clock }).finally(() => {
      settled = true
    })
    await until(() => asked === 1)
    clock.advance(59_999)
    await new Promise((resolve) => setImmediate(resolve))
    expect(settled).toBe(false)
    clock.advance(1)
    // The first attempt cannot tell whether the schema is up to date; migrating reports why.
    await until(() => asked === 2)
    clock.advance(60_000)
    await expect(opening).rejects.toMatchObject({
      code: 'store_unavailable',
      message: 'The database did not answer in time.',
    })
    expect(clock.pending, 'no timer is left').toBe(0)
  })

  test('redisFailures gives up on a server that does not answer', async () => {
    const sockets = new Set<{ destroy(): void }>()
    const server = createServer((socket) => void sockets.add(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const clock = manualClock()
    const url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
    const opening = redisFailures({ url, timeout: 60_000, clock })
    await until(() => sockets.size === 1 && clock.pending === 2)
    clock.advance(60_000)
    const failures = await opening
    await failures.close()
    expect(clock.pending, 'no timer is left').toBe(0)
    for (const socket of sockets) socket.destroy()
    server.close()
  })
})
