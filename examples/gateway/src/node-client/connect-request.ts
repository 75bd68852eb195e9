import type { Identity } from './identity.ts'

/** The proof of a node: a token from the gateway, or its own key, which has to be paired first. */
export type Proof =
  | { readonly by: 'token'; readonly token: string }
  | {
      readonly by: 'key'
      readonly identity: Identity
      /** Code with which the node asks for pairing; not needed in a window or after the pairing. */
      readonly code: string | undefined
      /** Name for display. */
      readonly name: string
      /** Scopes that the node asks for; it gets those that are granted. */
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
