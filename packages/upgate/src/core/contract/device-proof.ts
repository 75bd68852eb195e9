import type { Credential, OpaqueCredential, PasswordCredential, TokenCredential } from './credential.ts'

/** A device's own statements when it asks to be paired. They grant nothing. */
export interface DeviceWish {
  /** Name for people, as the device wishes it. Default: none. */
  readonly name?: string | undefined
  /** Role that the device asks for. Default: that of the introduction, or `node`. */
  readonly role?: string | undefined
  /** Scopes that the device asks for, exact names. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** Operating system, as the device says. Default: unknown. */
  readonly platform?: string | undefined
  /** Kind of hardware, as the device says. Default: unknown. */
  readonly deviceFamily?: string | undefined
}

/**
 * How a device without a token proves its identity: by its key, over a text that holds the server's nonce, or by the
 * claim secret of its pairing request.
 *
 * Handshakes make these with {@link deviceCredential}; nothing that a client sent can be one.
 */
export type DeviceProof = (
  | {
      /** Says that the device signed with its Ed25519 key. */
      readonly by: 'key'
      /** As sent: base64 or base64url of the 32 raw bytes. */
      readonly publicKey: string
      /** As sent: base64 or base64url of the 64 bytes. */
      readonly signature: string
      /** Hex SHA-256 of the public key, where the protocol carries it: compared. */
      readonly keyId?: string | undefined
      /**
       * The text that must have been signed, built by the server around its own nonce; several spellings where
       * a protocol has them.
       */
      readonly signedTexts: readonly (string | Uint8Array)[]
      /**
       * The device token that each of these texts covers, where its signature may bind the key to it; `undefined` for a
       * text that binds nothing. Default: none does.
       */
      readonly covers?: readonly (string | undefined)[] | undefined
      /** Milliseconds since the epoch, as signed; absent where the protocol signs the nonce alone. */
      readonly signedAt?: number | undefined
    }
  | { readonly by: 'claim'; readonly secret: string }
) & {
  /** The wish to be paired, for a device that is not known yet. */
  readonly wish: DeviceWish
  /** A bootstrap code, shared token or password sent along: it introduces the device. */
  readonly beside?: TokenCredential | PasswordCredential | undefined
  /**
   * A further token, next to a device token in `beside`, where the protocol has clients that send both. It is verified as
   * well: if the device token does not count, it introduces the device. It never is the principal's.
   */
  readonly second?: TokenCredential | undefined
}

export const deviceKeyCredential = 'device-key'
export const deviceClaimCredential = 'device-claim'

/** JSON cannot make a symbol: what a client nested in its frame can never pass for a proof that a handshake built. */
const brand: unique symbol = Symbol.for('upgate.device-proof') as never

/**
 * Wraps a proof as the credential that `deviceKey` and `claimSecret` verify: for handshakes.
 *
 * @param proof - built by the handshake; `signedTexts` must hold the server's own nonce
 * @returns a credential that no client can make from a frame
 * @throws TypeError for a proof that says neither `by: 'key'` nor `by: 'claim'`
 * @example
 * const credential = deviceCredential({ by: 'claim', secret, wish: { name: 'kitchen' } })
 */
export function deviceCredential(proof: DeviceProof): OpaqueCredential {
  if (proof?.by !== 'key' && proof?.by !== 'claim') {
    throw new TypeError("deviceCredential: the proof must say by what it is: `by: 'key'` or `by: 'claim'`.")
  }
  return {
    type: 'opaque',
    source: 'frame',
    name: proof.by === 'key' ? deviceKeyCredential : deviceClaimCredential,
    value: { [brand]: true, proof },
  }
}

/** The proof in a credential that a handshake made. */
export function deviceProofOf(credential: Credential): DeviceProof | undefined {
  if (credential.type !== 'opaque') return undefined
  const { value } = credential
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, brand)) return undefined
  return (value as { readonly proof: DeviceProof }).proof
}
