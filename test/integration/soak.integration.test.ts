// Needs Debian's postgresql and redis-server, as programs: it starts private servers, and restarts them.
// Two gateways with devices and sessions that come, connect, are revoked and go, while PostgreSQL and Redis are restarted:
// each acknowledged revocation holds, each issued credential works, and the heap of the gateways stays flat.
// UPGATE_SOAK_MINUTES=30 makes it longer, UPGATE_SOAK_SEED=7 another one; a long run prints its figures.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { randomOf } from '../attacks/path-grammar.ts'
import { type Gateway, handshake, type LiveSocket, live, request, startGateway } from './outage-load.ts'
import { canStart, type PrivateService, privatePostgres, privateRedis } from './private-services.ts'
import { uniqueName } from './services.ts'

const available = canStart('postgres') && canStart('redis')
const minutes = Number(process.env.UPGATE_SOAK_MINUTES ?? 0.3)
const random = randomOf(Number(process.env.UPGATE_SOAK_SEED ?? 1))
const below = (n: number): number => Math.floor(random() * n)
const length = minutes * 60_000
/** Parts of the run, after each of which the memory is measured. */
const windows = 12

/** So many of them, by chance. */
function sample<T>(all: readonly T[], size: number): T[] {
  return Array.from({ length: size }, () => all[below(all.length)] as T)
}

/** Milliseconds between two restarts, and of an outage. */
const [pause, outage] = [Math.min(length / 5, 20_000), 700]
/** Credentials that are in use at a time. */
const mostInUse = 60
/** Milliseconds within which a revoked socket is closed, and a service that is back is used, on a busy machine too. */
const patience = 60_000

type Told<T> = { readonly done: T } | { readonly code: string }
interface Credential {
  readonly kind: 'device' | 'session'
  readonly id: string
  readonly token: string
}
interface Memory {
  readonly heap: number
  readonly resident: number
}

const unavailable = ['503 unavailable', '1013 unavailable']
const refusedAs = { device: '401 revoked_credential', session: '401 auth_required' } as const

const asked = ({ kind, token }: Credential): ReturnType<typeof request> =>
  request(
    kind === 'device' ? { authorization: `Bearer ${token}` } : { cookie: `__Host-upgate_session=${token}` },
  )

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number
}

describe.skipIf(!available)('gateways in use', () => {
  const closing: (() => unknown)[] = []
  let services: Record<'postgres' | 'redis', PrivateService>
  let gateways: readonly Gateway[]
  beforeAll(async () => {
    services = { postgres: await privatePostgres(), redis: await privateRedis({ keeps: true }) }
    closing.push(services.postgres.dispose, services.redis.dispose)
    const { postgres, redis } = services
    const options = {
      postgres: postgres.url,
      redis: redis.url,
      name: uniqueName(),
      bus: 'redis',
      away: ['postgres', 'redis'],
      speed: 1,
    } as const
    // The first one makes the schema.
    gateways = [await startGateway(options), await startGateway(options)]
    for (const { stop } of gateways) closing.push(stop)
  })
  afterAll(async () => {
    for (const close of closing.reverse()) await close()
  })

  test(`lose nothing and stay small in ${minutes} minutes`, { timeout: 1.5 * length + 240_000 }, async () => {
    const some = (): Gateway => gateways[below(gateways.length)] as Gateway
    const good: Credential[] = []
    const revoked: Credential[] = []
    /** Credentials whose revocation was not acknowledged: both answers are right. */
    let unclear = 0
    const sockets = new Map<Credential, LiveSocket>()
    const counts = { issued: 0, accepted: 0, unavailable: 0, revoked: 0, closed: 0, restarts: 0 }
    // One session each: an account has a limit of them.
    const accounts: string[] = []
    for (let n = 0; n < mostInUse; n++) accounts.push(await some().ask('account', `user-${n}@example.com`))

    /** Asks until the answer is about the credential, and not about the service. */
    async function outcomeOf(attempt: () => Promise<string>): Promise<string> {
      const late = performance.now() + patience
      for (;;) {
        const outcome = await attempt()
        if (!unavailable.includes(outcome) || performance.now() > late) return outcome
        counts.unavailable++
        await sleep(100)
      }
    }
    function add(credential: Credential): void {
      good.push(credential)
      counts.issued++
    }
    async function issue(): Promise<void> {
      const kind = random() < 0.7 ? 'device' : 'session'
      if (kind === 'device') {
        const told = await some().ask<Told<{ id: string; token: string }>>('device')
        if ('done' in told) add({ kind, ...told.done })
        else expect(['store_unavailable', 'store_busy']).toContain(told.code)
      } else {
        const told = await some().ask<Told<string>>('login', accounts[counts.issued % accounts.length])
        if ('done' in told) add({ kind, id: '', token: told.done })
        else expect(['store_unavailable', 'store_busy']).toContain(told.code)
      }
    }
    async function use(): Promise<void> {
      const credential = good[below(good.length)]
      if (credential === undefined) return
      const wanted = ['200', 'accepted', ...unavailable]
      const attempt =
        credential.kind === 'device' && random() < 0.5 ? handshake(credential.token) : asked(credential)
      const outcome = await attempt(some())
      // Revoked while it was asked.
      if (!good.includes(credential)) return
      expect(wanted, `${credential.kind} ${credential.id}`).toContain(outcome)
      if (unavailable.includes(outcome)) counts.unavailable++
      else counts.accepted++
    }
    async function connect(): Promise<void> {
      const credential = good[below(good.length)]
      if (credential?.kind !== 'device' || sockets.has(credential)) return
      const socket = await live(some(), credential.token).catch(() => undefined)
      // Revoked, or connected by another worker, while it was asked.
      if (socket === undefined || !good.includes(credential) || sockets.has(credential)) socket?.close()
      else sockets.set(credential, socket)
    }
    async function tryRevoked(): Promise<void> {
      const credential = revoked[below(revoked.length)]
      if (credential === undefined) return
      const outcome = await asked(credential)(some())
      expect([refusedAs[credential.kind], ...unavailable]).toContain(outcome)
    }
    async function revoke(): Promise<void> {
      const [credential] = good.splice(below(good.length), 1)
      if (credential === undefined) return
      const { kind, id, token } = credential
      const [command, argument] = kind === 'device' ? ['revoke', id] : ['logout', token]
      const told = await some().ask<Told<unknown>>(command as string, argument)
      const socket = sockets.get(credential)
      sockets.delete(credential)
      if (!('done' in told) || told.done === 'unavailable') {
        unclear++
        socket?.close()
        return
      }
      revoked.push(credential)
      counts.revoked++
      if (socket === undefined) return
      await expect.poll(() => socket.end, { timeout: patience, message: id }).toBeDefined()
      expect(['4403 revoked', '1013 unavailable', '1006 ']).toContain(socket.end)
      counts.closed++
    }

    const until = performance.now() + length
    const running = (): boolean => performance.now() < until
    async function work(): Promise<void> {
      while (running()) {
        const share = random()
        if (good.length < 10 || (share < 0.2 && good.length < mostInUse)) await issue()
        else if (share < 0.5) await use()
        else if (share < 0.65) await connect()
        else if (share < 0.8) await tryRevoked()
        else await revoke()
        await sleep(below(80))
      }
    }
    async function restart(): Promise<void> {
      for (let n = 0; running(); n++) {
        await sleep(pause)
        if (!running()) return
        const name = n % 2 === 0 ? 'postgres' : 'redis'
        await services[name].stop(random() < 0.5 ? 'fast' : 'kill')
        await sleep(outage)
        await services[name].start()
        counts.restarts++
      }
    }
    const measured: Memory[][] = gateways.map(() => [])
    async function measure(): Promise<void> {
      for (let n = 0; n < windows; n++) {
        await sleep(Math.max(0, until - (length * (windows - 1 - n)) / windows - performance.now()))
        for (const [i, gateway] of gateways.entries()) measured[i]?.push(await gateway.ask<Memory>('memory'))
      }
    }
    await Promise.all([restart(), measure(), ...Array.from({ length: 4 }, work)])

    const mebibytes = (key: keyof Memory): string =>
      measured.map((one) => one.map((memory) => (memory[key] / 2 ** 20).toFixed(1)).join(' ')).join('; ')
    if (minutes >= 1) {
      console.log(counts, { unclear, good: good.length, open: sockets.size })
      console.log(`heap, MiB: ${mebibytes('heap')}\nresident, MiB: ${mebibytes('resident')}`)
    }

    // All of them, at both, whatever happened to them in an outage; of revoked ones as many as take a minute or two, since
    // each refusal is held for a second.
    const checked = revoked.length <= 4000 ? revoked : [...revoked.slice(-2000), ...sample(revoked, 2000)]
    for (const gateway of gateways) {
      const left = [
        ...good.map((credential) => [credential, '200'] as const),
        ...checked.map((credential) => [credential, refusedAs[credential.kind]] as const),
      ]
      const check = async (): Promise<void> => {
        for (let next = left.pop(); next !== undefined; next = left.pop()) {
          const [credential, wanted] = next
          expect(await outcomeOf(() => asked(credential)(gateway)), credential.id).toBe(wanted)
        }
      }
      await Promise.all(Array.from({ length: 8 }, check))
      await expect
        .poll(() => gateway.ask('health'), { timeout: patience })
        .toEqual({ log: 'current', bus: 'heard' })
    }
    for (const [credential, socket] of sockets) {
      // It may have been closed by a longer outage, but it does not hang.
      expect(socket.end ?? (await socket.heard()), credential.id).not.toBe(false)
      socket.close()
    }
    const third = windows / 3
    for (const windowsOfOne of measured) {
      const heaps = windowsOfOne.map(({ heap }) => heap)
      const [middle, last] = [median(heaps.slice(third, -third)), median(heaps.slice(-third))]
      expect(last - middle, `heaps: ${heaps}`).toBeLessThan(2 ** 20 + middle / 50)
    }
    expect(counts.restarts).toBeGreaterThan(1)
    expect(counts.closed).toBeGreaterThan(0)
  })
})
