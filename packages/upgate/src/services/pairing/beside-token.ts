import type { Verification, VerifyContext } from '../../core/contract/credential.ts'
import type { DeviceProof } from '../../core/contract/device-proof.ts'
import { keyIdOf, type TokenRecord } from '../../core/ports/token-record.ts'
import { equalDigests } from '../../crypto/equal.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { rejected, storeFailed, unavailable } from '../tokens/verdicts.ts'
import { checkKeyProof, clockIsWrong } from './key-proof.ts'
import type { PairingParts } from './parts.ts'
import type { Authenticated, Pairing } from './types.ts'

type TokenParts = Pick<PairingParts, 'store' | 'devices' | 'clock' | 'judge' | 'options'> & {
  /** The first use of a token bound a key to its device. */
  bound(record: TokenRecord, keyId: string, context: VerifyContext): void
}

/** Writes repeated because another writer was faster. */
const maxAttempts = 5

/**
 * Creates the verification of a device token that counts, sent with the proof of a key that is not its device's: a person
 * pasted the token into a client that signs all that it sends. The token counts as it would alone; the key adds nothing
 * unless it contradicts the token.
 */
export function createTokenProver(parts: TokenParts): Pairing['proveWithToken'] {
  const { store, devices, clock, judge, options, bound } = parts

  /** The device that holds the key now, if that is another one than the token's. */
  async function otherHolder(keyId: string, deviceId: string): Promise<Holder> {
    const id = await store.deviceOfKey(keyId)
    const record = id === undefined || id === deviceId ? undefined : await devices.get(id)
    if (record === undefined || (record.keyId !== undefined && keyIdOf(record) !== keyId)) {
      return { id, verdict: 'free' }
    }
    const answer = await judge(record)
    if (answer.outcome === 'unavailable') return { id, verdict: 'unknown' }
    // The key of a device that was revoked or has expired holds back no new token.
    const isOver = answer.outcome === 'rejected' && answer.code !== 'account_disabled'
    return { id, verdict: isOver ? 'free' : 'other' }
  }

  /** Binds the key, once the rule admits the device. Of sockets that bind at once, one is first. */
  async function bind(keyId: string, digest: string, byToken: Authenticated, context: VerifyContext) {
    for (let i = 0; i < maxAttempts; i++) {
      const record = await devices.get(byToken.principal.credentialId ?? '')
      // Revoked since its verification: the register refuses the socket.
      if (record === undefined || record.revokedAt !== undefined) return byToken
      const own = keyIdOf(record)
      if (own === keyId) return byToken
      if (own !== undefined) return otherKey
      // Rotated since its verification: the key would be bound to a token that no client shows any more.
      if (!equalDigests(record.digest, digest)) return byToken
      const holder = await otherHolder(keyId, record.id)
      if (holder.verdict === 'unknown') return unavailable('the device of the key cannot be looked up', 1)
      if (holder.verdict === 'other') return othersKey
      const next: TokenRecord = { ...record, version: record.version + 1, keyId, keyToken: digest }
      if (!(await store.bindKey(next, keyId, holder.id))) continue
      bound(next, keyId, context)
      return byToken
    }
    return unavailable('others kept changing the record of the device', 1)
  }

  async function prove(
    proof: DeviceProof,
    byToken: Authenticated,
    context: VerifyContext,
  ): Promise<Verification> {
    if (proof.by !== 'key' || proof.beside?.type !== 'token') return foreign
    const checked = checkKeyProof(proof, clock.now())
    if (checked.keyId === undefined) return rejected('invalid_credential', checked.problem)
    if (checked.late) return clockIsWrong(clock.now())
    const { keyId, covers } = checked
    const record = await devices.get(byToken.principal.credentialId ?? '')
    if (record === undefined) return foreign
    const own = keyIdOf(record)
    // A stolen token, used with the key of the thief.
    if (own !== undefined && own !== keyId) return otherKey
    const { verdict } = await otherHolder(keyId, record.id)
    if (verdict === 'unknown') return unavailable('the device of the key cannot be looked up', 1)
    if (verdict === 'other') return othersKey
    const token = proof.beside.value
    const digest = sha256(token)
    const binds = options.bindKeys && own === undefined && covers === token
    if (!binds || context.dryRun || !equalDigests(record.digest, digest)) return byToken
    return { ...byToken, issue: () => bind(keyId, digest, byToken, context).catch(storeFailed) }
  }

  return (proof, byToken, context) => prove(proof, byToken, context).catch(storeFailed)
}

interface Holder {
  /** As the store has it, whether or not it counts. */
  readonly id: string | undefined
  readonly verdict: 'free' | 'other' | 'unknown'
}

const foreign = rejected('invalid_credential', 'the device token is not one of this device')
const otherKey: Verification = Object.freeze({
  ...rejected('invalid_credential', 'the device of this token has another key'),
  details: { key: 'mismatch' },
})
const othersKey: Verification = Object.freeze({
  ...rejected('invalid_credential', 'the key is that of another device'),
  details: { key: 'of_another_device' },
})
