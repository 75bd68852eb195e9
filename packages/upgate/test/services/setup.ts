import type { Verification } from '../../src/core/contract/credential.ts'
import { type Store, StoreUnavailable } from '../../src/core/ports/stores.ts'
import type { PasswordHasher } from '../../src/crypto/password.ts'
import { createServices } from '../../src/services/create-services.ts'
import type { Services, ServicesOptions } from '../../src/services/types.ts'
import { memoryStore } from '../../src/stores/memory/memory.ts'
import { type ManualClock, manualClock } from '../../src/testing/manual-clock.ts'

export const goodPassword = 'correct horse battery staple'

/** A hasher that costs nothing and counts its calls. */
export interface FakeHasher extends PasswordHasher {
  verified: string[]
  /** Strength written into new hashes. */
  strength: number
  /** Answers wait for this promise, if set. */
  gate: Promise<void> | undefined
  running: number
  mostRunning: number
}

export function fakeHasher(): FakeHasher {
  const hasher: FakeHasher = {
    verified: [],
    strength: 1,
    gate: undefined,
    running: 0,
    mostRunning: 0,
    hash: async (password) => `fake:${hasher.strength}:${password}`,
    async verify(password, stored) {
      hasher.running++
      hasher.mostRunning = Math.max(hasher.mostRunning, hasher.running)
      hasher.verified.push(stored)
      await hasher.gate
      hasher.running--
      return stored.slice(stored.indexOf(':', 5) + 1) === password
    },
    needsRehash: (stored) => Number(stored.split(':')[1]) < hasher.strength,
  }
  return hasher
}

export interface Setup extends Services {
  readonly store: Store
  readonly clock: ManualClock
  readonly hasher: FakeHasher
  /** Names of the store operations called so far, such as `keys.get`. */
  readonly calls: string[]
  /** Operations that reject from now on. */
  readonly broken: Set<string>
  /** Makes an operation wait until the returned function is called. */
  hold(operation: string): () => void
}

/** Services over a store that tests can watch, hold and break. */
export function setUp(options: Partial<ServicesOptions> = {}): Setup {
  const calls: string[] = []
  const broken = new Set<string>()
  const held = new Map<string, Promise<void>>()
  const store = watched(options.store ?? memoryStore(), async (operation, run) => {
    calls.push(operation)
    if (broken.has(operation) || broken.has('*')) {
      throw new StoreUnavailable('store_full', 'the disk is full')
    }
    const result = await run()
    // Held after the store has read, so that the result is older than later events.
    await held.get(operation)
    return result
  })
  const clock = manualClock()
  const hasher = fakeHasher()
  const services = createServices({ clock, passwordHasher: hasher, ...options, store })
  return {
    ...services,
    store,
    clock,
    hasher,
    calls,
    broken,
    hold(operation) {
      let release = (): void => {}
      held.set(
        operation,
        new Promise((resolve) => {
          release = () => {
            held.delete(operation)
            resolve()
          }
        }),
      )
      return release
    },
  }
}

type Around = (operation: string, run: () => Promise<unknown>) => Promise<unknown>

function watched(store: Store, around: Around): Store {
  const parts = ['accounts', 'sessions', 'keys', 'devices', 'revocations'] as const
  const wrapped = parts.map((part) => {
    const methods = Object.entries(store[part]).map(([name, method]) => [
      name,
      (...args: unknown[]) => around(`${part}.${name}`, () => method(...args)),
    ])
    return [part, Object.fromEntries(methods)]
  })
  return { ...store, ...Object.fromEntries(wrapped) } as Store
}

export async function person(
  setup: Setup,
  email = 'ada@example.com',
  scopes: readonly string[] = ['read', 'write'],
) {
  const result = await setup.accounts.create({ email, password: goodPassword, scopes, roles: ['admin'] })
  if (result.outcome !== 'done') throw new Error(result.reason)
  return result.account
}

export async function login(setup: Setup, accountId: string) {
  const issued = await setup.sessions.create(accountId)
  if (issued === undefined) throw new Error('no session')
  return issued
}

/** The outcome, or the code of a rejection. */
export async function outcomeOf(verification: PromiseLike<Verification> | Verification): Promise<string> {
  const answer = await verification
  return answer.outcome === 'rejected' ? answer.code : answer.outcome
}

/** Lets all pending promise jobs run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}
