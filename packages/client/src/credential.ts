import type { Diagnosis } from '@upgate/diagnosis'

/** A credential of the protocol: for the gate, not for the edge. A text is a token. */
export type Credential =
  | string
  /** An API key, a device token, a session token, a shared token, or a ticket. */
  | { readonly token: string }
  /** `account` if the gate has more than one. */
  | { readonly password: string; readonly account?: string }
  /** A device key, see `deviceKey`. `code` lets an unknown device ask for pairing; `token` is one it already has. */
  | {
      readonly device: DeviceIdentity
      readonly code?: string
      readonly token?: string
      readonly name?: string
    }
  /** Without a key: 32 random bytes in base64url, the same until the device has its token. */
  | { readonly claim: string; readonly code?: string; readonly name?: string }

/** The key of a device. The private key stays behind `sign`. */
export interface DeviceIdentity {
  /** The 32 raw bytes of the Ed25519 public key, in base64url. */
  readonly publicKey: string
  /** Hexadecimal SHA-256 of the raw public key. */
  readonly id: string
  /** Signs UTF-8 text with Ed25519; the 64 bytes in base64url. */
  sign(text: string): string | Promise<string>
}

/** Why a credential is asked for. */
export interface CredentialRequest {
  /** `connect`: for an attempt. `refused`: the one before was refused. `renewal`: it expires within a minute. */
  readonly reason: 'connect' | 'refused' | 'renewal'
  /** With `refused`: the verdict. */
  readonly diagnosis: Diagnosis | undefined
  readonly signal: AbortSignal
}

/** A credential, or a function that fetches one; `undefined` sends none. */
export type CredentialSource =
  | Credential
  | ((request: CredentialRequest) => Credential | undefined | Promise<Credential | undefined>)

/** The values in a credential that must not appear anywhere. */
export function secretsOf(credential: Credential | undefined): readonly string[] {
  if (credential === undefined) return []
  if (typeof credential === 'string') return [credential]
  return ['token', 'password', 'claim', 'code'].flatMap((name) => {
    const value = (credential as unknown as Record<string, unknown>)[name]
    return typeof value === 'string' ? [value] : []
  })
}

/** The token of a credential; `undefined` if it has none. */
export function tokenOf(credential: Credential | undefined): string | undefined {
  if (typeof credential === 'string') return credential
  return credential !== undefined && 'token' in credential ? credential.token : undefined
}

/** Whether two credentials would get the same answer. */
export function isSame(a: Credential | undefined, b: Credential | undefined): boolean {
  return JSON.stringify(identityOf(a)) === JSON.stringify(identityOf(b))
}

function identityOf(credential: Credential | undefined): readonly unknown[] {
  const { device, account } = (typeof credential === 'object' ? credential : {}) as {
    readonly device?: DeviceIdentity
    readonly account?: string
  }
  return [secretsOf(credential), device?.id, account]
}
