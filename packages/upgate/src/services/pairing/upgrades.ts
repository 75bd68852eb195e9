import type { VerifyContext } from '../../core/contract/credential.ts'
import type { DeviceWish } from '../../core/contract/device-proof.ts'
import type { PairingGrant, PairingRecord, PairingUpgrade } from '../../core/ports/pairings.ts'
import { StoreUnavailable } from '../../core/ports/stores.ts'
import { keyIdOf, type TokenRecord } from '../../core/ports/token-record.ts'
import { createId } from '../../crypto/tokens.ts'
import { narrows } from '../record-input.ts'
import { createRequestId } from './codes.ts'
import type { PairingParts } from './parts.ts'
import type { Authenticated } from './types.ts'
import { namesOf, statedIn } from './wishes.ts'

interface UpgradeParts extends PairingParts {
  report(step: 'requested', record: PairingRecord): void
  tidy(): Promise<void>
  tidyLater(): void
  askedAgain(record: PairingRecord): Promise<void>
}

/** Paired devices that ask for more than their record grants. */
export interface Upgrades {
  /**
   * Lets a device in with its old rights; where it wishes for more, one request waits for approval. A request that cannot
   * be kept costs the device nothing.
   */
  letIn(known: Authenticated, device: TokenRecord, wish: DeviceWish, context: VerifyContext): Authenticated
  /** Writes an approved request into the record of its device. False: the device is gone, revoked, or has another key. */
  apply(record: PairingRecord, granted: PairingGrant): Promise<boolean>
}

/** Writes repeated because another writer was faster. */
const maxAttempts = 5

/** Creates the part of pairing that is about devices which are paired already. */
export function createUpgrades(parts: UpgradeParts): Upgrades {
  const { store, devices, clock, logger, revocations, randomBytes, options, forget } = parts

  async function ask(
    device: TokenRecord,
    keyId: string,
    asks: readonly PairingUpgrade[],
    wish: DeviceWish,
    { clientAddress, peerAddress }: VerifyContext,
  ): Promise<void> {
    const now = clock.now()
    const subject = subjectOf(keyId)
    const before = await store.bySubject(subject)
    if (before !== undefined && before.expiresAt > now) {
      // Decided ones, too: a device that asks for more than it was just granted must not ask with every socket.
      if (before.state === 'pending') await parts.askedAgain(before)
      return
    }
    const names = namesOf(wish)
    const record: PairingRecord = {
      id: createRequestId(createId(randomBytes), subject),
      version: 1,
      subject,
      state: 'pending',
      quota: 'upgrade',
      introduction: 'upgrade',
      introducer: device.id,
      deviceId: device.id,
      had: device.scopes,
      asks,
      name: device.name,
      role: names?.role ?? device.roles[0] ?? 'node',
      // It keeps the scopes that it has and does not mention.
      scopes: [...new Set([...device.scopes, ...(names?.scopes ?? [])])],
      stated: statedIn(wish) ?? device.stated,
      clientAddress,
      peerAddress,
      createdAt: now,
      expiresAt: now + options.requestLifetime,
    }
    await parts.tidy()
    const bound = options.maxInvited
    const answer = await store.request(record, { now, atMost: bound, perAddress: bound })
    if (answer.outcome !== 'added') return
    parts.report('requested', answer.record)
    parts.tidyLater()
  }

  return {
    letIn(known, device, wish, context) {
      const keyId = keyIdOf(device)
      const asks = asksOf(device, wish)
      if (keyId === undefined || asks.length === 0) return known
      // Only once the rule admits the device, and never at its cost.
      const issue = async (): Promise<Authenticated> => {
        await ask(device, keyId, asks, wish, context).catch((error: unknown) => {
          logger.warn('The request of a device for more rights could not be kept.', { error: String(error) })
        })
        return known
      }
      return { ...known, issue }
    },

    async apply({ subject, deviceId = '', stated, had = [], name: before }, granted) {
      const { role } = granted
      for (let i = 0; i < maxAttempts; i++) {
        const device = await devices.get(deviceId)
        const keyId = device && keyIdOf(device)
        if (device === undefined || device.revokedAt !== undefined) return false
        if (keyId === undefined || subject !== subjectOf(keyId)) return false
        // Renamed or narrowed since it asked: that was decided later than the list that the approver saw.
        const name = granted.name === before ? device.name : granted.name
        const lost = had.filter((scope) => !device.scopes.includes(scope))
        const scopes = granted.scopes.filter((scope) => !lost.includes(scope))
        const next: TokenRecord = {
          ...device,
          version: device.version + 1,
          name,
          scopes,
          roles: [role],
          stated: stated ?? device.stated,
        }
        // A role that is replaced is lost: its live sockets end. More rights come with the next connection.
        const loses = narrows(device.scopes, scopes) || narrows(device.roles, next.roles)
        const selector = { credentialId: device.id }
        const drafts = loses ? [{ at: clock.now(), selector, reason: 'narrowed' as const }] : []
        const entries = await devices.replace(next, drafts)
        if (entries === undefined) continue
        const announced = revocations.publish(entries)
        forget(selector)
        await announced
        return true
      }
      throw new StoreUnavailable('store_busy', 'Others kept changing the record.')
    },
  }
}

function subjectOf(keyId: string): string {
  return `upgrade:${keyId}`
}

function asksOf(device: TokenRecord, wish: DeviceWish): readonly PairingUpgrade[] {
  const names = namesOf(wish)
  if (names === undefined) return []
  const asks: PairingUpgrade[] = []
  if (names.role !== undefined && !device.roles.includes(names.role)) asks.push('role')
  if (names.scopes !== undefined && narrows(names.scopes, device.scopes)) asks.push('scopes')
  const stated = statedIn(wish)
  // A device that was paired before, or says nothing of itself now, has nothing that could differ.
  if (stated !== undefined && device.stated !== undefined && stated !== device.stated) asks.push('metadata')
  return asks
}
