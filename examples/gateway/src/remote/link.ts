import { type Clock, connect, type State, type Transport } from '@upgate/client'
import { clean } from '@upgate/diagnosis'
import { credentialOf, handshakeOf, type Secrets, subscription } from './credential.ts'
import { failureOf, type RemoteState } from './state.ts'

/** A step of the connection, for the audit trail. */
export type LinkStep =
  | { readonly step: 'connected'; readonly role: string | undefined }
  | { readonly step: 'lost' | 'failed' | 'stopped'; readonly code: string; readonly layer: string }
  | {
      readonly step: 'pairing'
      readonly comparisonCode: string | undefined
      readonly requestId: string | undefined
    }

export interface LinkOptions {
  readonly url: string
  readonly secrets: Secrets
  /** The name of this gateway at the other one. */
  readonly name: string
  readonly transport: Transport
  readonly clock: Clock | undefined
  now(): number
  /** Called after every change of the state. */
  changed(): void
  stepped(step: LinkStep): void
  /** The other gateway made a token for this one. */
  paired(deviceToken: string): void
}

/** One kept connection to the other gateway. */
export interface Link {
  state(): RemoteState
  close(): void
}

/**
 * Connects as a node, and stays connected. The client decides whether and when to try again; this gateway only says what
 * became of it.
 */
export function openLink(options: LinkOptions): Link {
  const { url, name, transport, clock, changed, stepped, paired } = options
  const moment = (): string => new Date(options.now()).toISOString()
  let secrets = options.secrets
  const { cfClientId: clientId, cfClientSecret: clientSecret, sessionKey } = secrets
  let now: RemoteState = { state: 'connecting', since: moment() }
  let failure: RemoteState['failure']
  let pairing: RemoteState['pairing']
  /** The facts of the last request; the client tells them once. */
  let request: NonNullable<RemoteState['pairing']> = { comparisonCode: undefined, requestId: undefined }
  let up = false
  /** The last failure that the audit trail has: the same one again is no news. */
  let told: string | undefined

  const enter = (next: Omit<RemoteState, 'since' | 'failure' | 'pairing'>): void => {
    const since = next.state === now.state ? now.since : moment()
    const before = JSON.stringify(now)
    now = { ...next, since, ...(failure && { failure }), ...(pairing && { pairing }) }
    if (JSON.stringify(now) !== before) changed()
  }

  const connection = connect(url, {
    credential: ({ reason }) => (reason === 'renewal' ? undefined : credentialOf(secrets, name)),
    ...(clientId !== undefined && clientSecret !== undefined && { edge: { clientId, clientSecret } }),
    handshake: handshakeOf(secrets),
    // The page warns the user who sets a `ws://` URL, before and after: it is for networks that the operator trusts.
    // The secrets of an edge never go over it.
    dangerouslySendCredentialsOverPlain: true,
    transport,
    ...(clock && { clock }),
  })
  connection.on('token', (deviceToken) => {
    if (!/^[\x21-\x7e]{1,4096}$/.test(deviceToken)) return
    secrets = { ...secrets, deviceToken }
    paired(deviceToken)
  })
  connection.on('accepted', ({ roles }) => {
    up = true
    told = undefined
    stepped({ step: 'connected', role: shown(roles[0]) })
    if (sessionKey !== undefined) connection.send(subscription(sessionKey))
  })
  connection.on('failed', ({ code, diagnosis }) => {
    const step = up ? 'lost' : 'failed'
    up = false
    if (code !== 'pairing_required') {
      pairing = undefined
      failure = failureOf(diagnosis, options.now())
      if (step === 'lost' || told !== code) stepped({ step, code, layer: diagnosis.layer })
    } else {
      // Not every gateway says what to compare.
      pairing = request
      failure = undefined
    }
    told = code
  })
  connection.on('pairing', (facts) => {
    request = facts
    pairing = facts
    stepped({ step: 'pairing', ...facts })
  })
  connection.on('closed', (error) => {
    if (error !== undefined) stepped({ step: 'stopped', code: error.code, layer: error.diagnosis.layer })
  })
  connection.on('state', (state) => {
    if (state.name === 'accepted') {
      failure = undefined
      pairing = undefined
    }
    enter(stateOf(state, pairing !== undefined))
  })

  return {
    state: () => now,
    close: () => connection.close(1000, 'closed by its gateway'),
  }
}

function stateOf(state: State, pairing: boolean): Omit<RemoteState, 'since'> {
  switch (state.name) {
    case 'connecting':
    case 'authenticating':
      return { state: pairing ? 'pairing' : state.name }
    case 'accepted': {
      const { roles, scopes } = state.acceptance
      return {
        state: 'connected',
        granted: { role: shown(roles[0]), scopes: scopes.slice(0, 32).map((scope) => clean(scope, 64)) },
      }
    }
    case 'waiting':
      return pairing ? { state: 'pairing' } : { state: 'waiting', until: new Date(state.until).toISOString() }
    case 'offline':
      return { state: 'waiting' }
    case 'closed':
      return { state: 'stopped' }
  }
}

/** A name that the other gateway chose: cut and cleaned, because people and logs see it. */
function shown(name: string | undefined): string | undefined {
  return name === undefined ? undefined : clean(name, 64)
}
