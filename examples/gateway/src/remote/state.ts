import type { Diagnosis, Layer } from '@upgate/diagnosis'

/** Why the connection is down: from the diagnosis, cleaned texts without secrets. */
export interface FailureView {
  readonly code: string
  readonly layer: string
  /** The layer in words. */
  readonly layerName: string
  readonly title: string
  readonly cause: string
  readonly action: string
  /** Page about the code; absent for failures of this gateway itself. */
  readonly link: string | undefined
  readonly evidence: readonly { readonly name: string; readonly value: string }[]
  /** ISO 8601. */
  readonly at: string
}

/** The life of the connection. */
export interface RemoteState {
  /**
   * `off`: none is set. `pairing`: the other gateway has to approve this one. `waiting`: for the next attempt. `stopped`:
   * another attempt would get the same answer. `locked`: the stored secrets cannot be read.
   */
  readonly state:
    | 'off'
    | 'connecting'
    | 'authenticating'
    | 'connected'
    | 'pairing'
    | 'waiting'
    | 'stopped'
    | 'locked'
  /** ISO 8601. */
  readonly since: string
  /** Of the next attempt, with `waiting`. ISO 8601. */
  readonly until?: string
  /** As the other gateway says, with `connected`. */
  readonly granted?: { readonly role: string | undefined; readonly scopes: readonly string[] }
  /** With `pairing`: the same on both sides. */
  readonly pairing?: { readonly comparisonCode: string | undefined; readonly requestId: string | undefined }
  /** The last failure since the connection was up. */
  readonly failure?: FailureView
}

/** The parts of the way, as a person reads them. */
const layerNames: Readonly<Record<Layer, string>> = {
  client: 'This gateway',
  url: 'The URL',
  dns: 'Look-up of the name',
  tcp: 'Connection to the server',
  tls: 'Encryption (TLS)',
  http: 'HTTP',
  proxy: 'A proxy on the way',
  'edge-bot': 'Bot filter of the edge',
  'edge-access': 'Cloudflare Access',
  'edge-error': 'The edge in front of the other gateway',
  tunnel: 'The tunnel to the other gateway',
  'wrong-server': 'Another server',
  'origin-auth': 'Login at the other gateway',
  'origin-pairing': 'Pairing with the other gateway',
  protocol: 'Protocol between the gateways',
  net: 'The network',
}

/** A diagnosis for the page. */
export function failureOf(diagnosis: Diagnosis, now: number): FailureView {
  const { code, layer, title, cause, action, evidence } = diagnosis
  return {
    code,
    layer,
    layerName: layerNames[layer],
    title,
    cause,
    action,
    link: `/diagnosis/${code}`,
    evidence: evidence.map(({ name, value }) => ({ name, value })),
    at: new Date(now).toISOString(),
  }
}

/** The key of the stored secrets is gone, or the stored text was changed. */
export function lockedOf(now: number, remedy: string): RemoteState {
  const at = new Date(now).toISOString()
  return {
    state: 'locked',
    since: at,
    failure: {
      code: 'remote_key_lost',
      layer: 'client',
      layerName: layerNames.client,
      title: 'The stored secrets cannot be read',
      cause:
        'The key that encrypted them was lost or replaced, or the database was changed by other means. Nothing was sent.',
      action: `${remedy} Otherwise enter the secrets again, or remove the connection.`,
      link: undefined,
      evidence: [],
      at,
    },
  }
}
