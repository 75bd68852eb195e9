import type { Scheme, TokenCredential, Verification, VerifyContext } from '../core/contract/credential.ts'
import {
  type DeviceProof,
  deviceClaimCredential,
  deviceKeyCredential,
  deviceProofOf,
} from '../core/contract/device-proof.ts'
import type { Principal } from '../core/contract/principal.ts'
import { list, methods, optional, text, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { Pairing } from '../services/pairing/types.ts'
import type { Devices } from '../services/tokens/types.ts'
import { notOfThisForm } from './bearer.ts'

/** Options of {@link deviceKey} and {@link claimSecret}. Unknown options throw. */
export interface DeviceKeyOptions {
  /** `services.pairing`. Required. */
  readonly pairing: Pick<
    Pairing,
    'prove' | 'proveRotated' | 'proveWithToken' | 'isBootstrapCode' | 'events' | 'revocations'
  >
  /** Verifies a device token sent along with a proof: both must belong to one device. */
  readonly devices: Pick<Devices, 'verify' | 'claims'>
  /**
   * Schemes that introduce devices: their credential, sent along with a proof, lets an unknown device ask to
   * be paired: `[sharedToken(...)]`. The credential does not admit the device, and adds nothing to the rights
   * it is granted. Default: none.
   */
  readonly introducers?: readonly Scheme[]
  /**
   * Name in rules and in `explain`; principals keep the scheme `device-key`. Default: `device-key`; for
   * `claimSecret`: `device-claim`.
   */
  readonly name?: string
}

const proofOptions = optionTable<DeviceKeyOptions>()({
  pairing: methods<DeviceKeyOptions['pairing']>(
    ['prove', 'proveRotated', 'proveWithToken', 'isBootstrapCode'],
    '`services.pairing`',
  ),
  devices: methods<DeviceKeyOptions['devices']>(['verify', 'claims'], '`services.devices`'),
  introducers: withDefault(
    list<Scheme>(
      'a list of schemes that read credentials in band, such as [sharedToken(...)]',
      (scheme) => typeof (scheme as Partial<Scheme> | null | undefined)?.claims === 'function',
      0,
    ),
    [],
  ),
  // The default differs between the two schemes.
  name: optional(text()),
})

/**
 * Authenticates devices by their Ed25519 key, over a nonce of the server, and pairs unknown devices.
 *
 * Needs a handshake that sends the nonce: `connectFrame({ deviceKeys: true })` or
 * `upgateHandshake({ deviceKeys: true })`. An unknown device is refused with `pairing_required` and a
 * comparison code. Once approved, its next connection is accepted and gets a device token. The approval sets
 * role, scopes and name.
 *
 * @param options - `pairing` and `devices` of the services; `introducers` is optional
 * @returns the scheme, for `createGate({ schemes })`
 * @throws TypeError for an unknown or missing option
 * @example
 * const gate = createGate({
 *   origins: ['https://gateway.example.com'],
 *   schemes: [deviceToken({ devices }), deviceKey({ pairing, devices })],
 *   rules: [{ path: '/ws', access: 'deferred', kinds: ['device'], handshake: connectFrame({ deviceKeys: true }) }],
 * })
 */
export function deviceKey(options: DeviceKeyOptions): Scheme {
  return proofScheme('deviceKey', 'device-key', deviceKeyCredential, options)
}

/**
 * Pairs devices that have no key: the claim secret of its request identifies a device until it has its token.
 *
 * The device creates the secret: 32 random bytes in base64url. It is valid for one pairing and one token.
 *
 * @param options - `pairing` and `devices` of the services; `introducers` is optional
 * @returns the scheme, for `createGate({ schemes })`
 * @throws TypeError for an unknown or missing option
 * @example
 * const schemes = [deviceToken({ devices }), claimSecret({ pairing, devices })]
 */
export function claimSecret(options: DeviceKeyOptions): Scheme {
  return proofScheme('claimSecret', 'device-claim', deviceClaimCredential, options)
}

function proofScheme(
  where: string,
  standardName: string,
  credentialName: string,
  options: DeviceKeyOptions,
): Scheme {
  const { pairing, devices, introducers, name = standardName } = proofOptions.read(where, options)

  async function verify(proof: DeviceProof, context: VerifyContext): Promise<Verification> {
    const { beside } = proof
    if (beside === undefined || pairing.isBootstrapCode(beside.value)) return pairing.prove(proof, context)
    if (beside.type === 'token' && devices.claims(beside.value))
      return verifyBoth(proof, beside.value, context)
    const answer = await introduce(beside, context)
    if (answer.outcome === 'authenticated') return pairing.prove(proof, context, answer.principal)
    // A known device needs no introducer: a gateway token that was rotated since must not shut it out.
    const alone = await pairing.prove(proof, withoutEffect(context))
    return alone.outcome === 'authenticated' ? pairing.prove(proof, context) : answer
  }

  async function introduce(
    credential: NonNullable<DeviceProof['beside']>,
    context: VerifyContext,
  ): Promise<Verification> {
    const introducer = introducers.find((scheme) => scheme.claims?.(credential))
    return introducer === undefined ? unclaimed : introducer.verify(credential, context)
  }

  async function verifyBoth(
    proof: DeviceProof,
    token: string,
    context: VerifyContext,
  ): Promise<Verification> {
    const byToken = await devices.verify(token)
    if (byToken.outcome === 'unavailable' || byToken.outcome === 'throttled') return byToken
    // Without effect: an unknown key must not leave a request behind.
    const byProof = await pairing.prove(withoutBeside(proof), withoutEffect(context))
    if (byToken.outcome === 'rejected') {
      if (byProof.outcome !== 'authenticated') return byToken
      // The token was rotated while the device was away. Its key proves the device all the same.
      const rotated = await pairing.proveRotated(proof, context)
      return rotated.outcome === 'rejected' ? byToken : rotated
    }
    if (byProof.outcome === 'unavailable' || byProof.outcome === 'throttled') return byProof
    if (byProof.outcome !== 'authenticated' || !same(byProof.principal, byToken.principal))
      return pairing.proveWithToken(proof, byToken, context)
    // In the overlap after a rotation the old token ends before its record does: time for the new one.
    if (byToken.principal.expiresAt === byProof.principal.expiresAt) return byProof
    const rotated = await pairing.proveRotated(proof, context)
    return isNotRotated(rotated) ? byProof : rotated
  }

  /**
   * A device token and a further token, in one attempt. The device token is tried first, with the proof. If it does not
   * count, the further one may introduce the device, or is its newer device token. Both are verified in every case, so that
   * trying wrong ones next to a right one costs as much as trying them alone.
   */
  async function verifyPair(
    proof: DeviceProof,
    second: TokenCredential,
    context: VerifyContext,
  ): Promise<Verification> {
    const first = await verify(proof, context)
    const isDevices = devices.claims(second.value)
    const other = isDevices ? await devices.verify(second.value) : await introduce(second, context)
    const failed = (answer: Verification): Verification =>
      answer.outcome === 'authenticated' || answer.outcome === 'rejected'
        ? { ...answer, alsoFailed: 1 }
        : answer
    if (first.outcome === 'authenticated') {
      // Two devices in one request: neither is more right than the other.
      if (isDevices && other.outcome === 'authenticated' && other.principal.id !== first.principal.id)
        return foreign
      return other.outcome === 'rejected' ? failed(first) : first
    }
    if (first.outcome !== 'rejected' || !mayBeReplaced(first)) return first
    if (other.outcome === 'rejected') return failed(first)
    if (other.outcome !== 'authenticated') return other
    const alone = withoutBeside(proof)
    return failed(
      isDevices
        ? await verifyBoth({ ...alone, beside: second } as DeviceProof, second.value, context)
        : await pairing.prove(alone, context, other.principal),
    )
  }

  return {
    name,
    yields: ['device'],
    // Both schemes prove a device of the pairing service, and its principals carry one scheme.
    principalSchemes: ['device-key', name],
    ambient: false,
    claims: (credential) => credential.type === 'opaque' && credential.name === credentialName,
    verify(credential, context) {
      const proof = deviceProofOf(credential)
      if (proof === undefined) return notOfThisForm('a proof of a device')
      const { second, ...first } = proof
      return second === undefined ? verify(proof, context) : verifyPair(first as DeviceProof, second, context)
    },
    revocations: pairing.revocations,
    events: pairing.events,
  }
}

const unclaimed: Verification = Object.freeze({
  outcome: 'rejected',
  code: 'invalid_credential',
  reason: 'the credential sent along with the proof does not let a device ask for pairing',
})
const foreign: Verification = Object.freeze({
  outcome: 'rejected',
  code: 'invalid_credential',
  reason: 'the device token is not one of this device',
})

/** Whether a further token may take the place of the device token: not where the two contradict the key. */
function mayBeReplaced({ code, details }: Extract<Verification, { outcome: 'rejected' }>): boolean {
  const isOfToken = ['invalid_credential', 'expired_credential', 'revoked_credential'].includes(code)
  return isOfToken && details?.key === undefined && details?.serverTime === undefined
}

function isNotRotated(answer: Verification): boolean {
  return answer.outcome === 'rejected' && answer.code === 'invalid_credential'
}

function same(a: Principal, b: Principal): boolean {
  return a.kind === b.kind && a.id === b.id && a.credentialId === b.credentialId
}

function withoutEffect({ clientAddress, peerAddress, path, origin }: VerifyContext): VerifyContext {
  return { clientAddress, peerAddress, path, origin, dryRun: true }
}

function withoutBeside({ beside: _, ...proof }: DeviceProof): DeviceProof {
  return proof as DeviceProof
}
