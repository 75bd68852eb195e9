import type { Verification, VerifyContext } from '../../core/contract/credential.ts'
import type { DeviceProof } from '../../core/contract/device-proof.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import { equalDigests } from '../../crypto/equal.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { createToken } from '../../crypto/tokens.ts'
import { rejected, storeFailed, unavailable } from '../tokens/verdicts.ts'
import { checkKeyProof } from './key-proof.ts'
import type { PairingParts } from './parts.ts'
import { isKeyOf } from './prove.ts'

type RotatedParts = Pick<
  PairingParts,
  'store' | 'devices' | 'clock' | 'revocations' | 'randomBytes' | 'judge'
> & {
  /** A device got a new token for its rotated one. */
  handedOver(record: TokenRecord, clientAddress: string | undefined): void
}

/** The device as its record is now, or why the proof and the token do not count together. */
type Found =
  | { readonly record: TokenRecord; readonly known: Extract<Verification, { outcome: 'authenticated' }> }
  | { readonly record?: undefined; readonly answer: Verification }

/** Writes repeated because another writer was faster. */
const maxAttempts = 5

const notRotated: Verification = rejected(
  'invalid_credential',
  'the token is not the one that the last rotation of this device replaced',
)

/**
 * Creates the verification of a device that was away while its token was rotated. Its client keeps the old token
 * and sends it with every proof.
 *
 * The key proves the device, and the old token adds nothing to that: it is only no reason to refuse. Without the
 * key it does not count, so that a stolen token that was rotated away stays worthless.
 */
export function createRotatedProver(
  parts: RotatedParts,
): (proof: DeviceProof, context: VerifyContext) => Promise<Verification> {
  const { store, devices, clock, revocations, randomBytes, judge, handedOver } = parts

  async function find(keyId: string, digest: string): Promise<Found> {
    await revocations.ready()
    const id = await store.deviceOfKey(keyId)
    const record = id === undefined ? undefined : await devices.get(id)
    const counts = record !== undefined && isKeyOf(record, keyId) && isLastRotated(record, digest)
    if (!counts) return { answer: notRotated }
    const known = await judge(record)
    return known.outcome === 'authenticated' ? { record, known } : { answer: known }
  }

  /** Hands a new token over, unless another socket of the device got one since the rotation. */
  async function handOver(
    keyId: string,
    digest: string,
    { clientAddress }: VerifyContext,
  ): Promise<Verification> {
    for (let i = 0; i < maxAttempts; i++) {
      const found = await find(keyId, digest)
      if (found.record === undefined) return found.answer
      const { record, known } = found
      if (record.handedDigest !== undefined) return known
      const token = createToken('ugd', record.id, randomBytes)
      const next: TokenRecord = { ...record, version: record.version + 1, handedDigest: sha256(token) }
      // Nothing ends: the token that the rotation returned counts as before.
      if ((await devices.replace(next, [])) === undefined) continue
      handedOver(next, clientAddress)
      return { ...known, issued: { deviceToken: token } }
    }
    return unavailable('others kept changing the record of the device', 1)
  }

  async function prove(proof: DeviceProof, context: VerifyContext): Promise<Verification> {
    if (proof.by !== 'key' || proof.beside?.type !== 'token') return notRotated
    const checked = checkKeyProof(proof, clock.now())
    if (checked.keyId === undefined || checked.late) return notRotated
    const { keyId } = checked
    const digest = sha256(proof.beside.value)
    const found = await find(keyId, digest)
    if (found.record === undefined) return found.answer
    const { record, known } = found
    if (context.dryRun || record.handedDigest !== undefined) return known
    // Once the rule admits the device: a token that no client receives must not exist.
    return { ...known, issue: () => handOver(keyId, digest, context).catch(storeFailed) }
  }

  return (proof, context) => prove(proof, context).catch(storeFailed)
}

function isLastRotated(
  { previousDigest = '', previousHandedDigest = '' }: TokenRecord,
  digest: string,
): boolean {
  return equalDigests(previousDigest, digest) || equalDigests(previousHandedDigest, digest)
}
