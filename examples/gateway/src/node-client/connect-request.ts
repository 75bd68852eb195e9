import type { Identity } from './identity.ts'

/** How a node proves itself: with a token it was given, or with a key of its own that is paired first. */
export type Proof =
  | { readonly by: 'token'; readonly token: string }
  | {
      readonly by: 'key'
      readonly identity: Identity
      /** Lets the node ask to be paired; not needed once it is, nor in a window. */
      readonly code: string | undefined
      /** For people. */
      readonly name: string
      /** What it would like to be allowed; it gets what was granted of it. */
      readonly scopes: readonly string[]
    }

/** The nonce of `connect.challenge`, and the gateway's clock. */
export interface Challenge {
  readonly nonce: string
  readonly ts: number
}

const client = { id: 'upgate-example-node', version: '1', platform: process.platform, mode: 'node' }
const role = 'node'

/** The first frame: with a token, or signed over the gateway's challenge. */
export function connectRequest(proof: Proof, challenge: Challenge | undefined): string | undefined {
  if (proof.by === 'token') return request({ client, auth: { deviceToken: proof.token } })
  if (challenge === undefined) return undefined
  const { identity, code = '', name, scopes } = proof
  const device = identity.prove({
    clientId: client.id,
    mode: client.mode,
    platform: client.platform,
    role,
    scopes,
    token: code,
    nonce: challenge.nonce,
    signedAt: challenge.ts,
  })
  const auth = code === '' ? {} : { bootstrapToken: code }
  return request({ client: { ...client, displayName: name }, scopes, device, auth })
}

function request(params: Readonly<Record<string, unknown>>): string {
  const body = { protocol: { min: 3, max: 4 }, role, scopes: [], ...params }
  return JSON.stringify({ type: 'req', id: 'connect', method: 'connect', params: body })
}
