import {
  clean,
  type Diagnosis,
  diagnose,
  type Observation,
  type SentCredential,
  withoutSecrets,
} from '@upgate/diagnosis'
import { type Attempt, type AttemptEnd, startAttempt } from './attempt.ts'
import { pauseAfter } from './backoff.ts'
import { systemClock } from './clock.ts'
import { type Credential, type CredentialRequest, isSame, secretsOf } from './credential.ts'
import { checkEdge, type EdgeCredential, edgeHeaders } from './edge.ts'
import { ConnectError } from './error.ts'
import { createEmitter } from './events.ts'
import type { Acceptance } from './handshake.ts'
import { upgateHandshake } from './handshakes/upgate.ts'
import { type ConnectOptions, checkCredential, checkOptions } from './options.ts'
import { isExposed, isSecretHeader, refusal as overPlain, plainRefusal } from './plain.ts'
import type { ConnectionEvents, State } from './state.ts'
import { readTarget } from './target.ts'
import type { Transport } from './transport.ts'

/** A connection that keeps itself. */
export interface Connection {
  readonly state: State
  /** The first acceptance. Rejects with a {@link ConnectError} if the connection ends before. */
  readonly accepted: Promise<Acceptance>
  /** Adds a listener; the returned function removes it. */
  on<Name extends keyof ConnectionEvents>(event: Name, listener: ConnectionEvents[Name]): () => void
  /** Sends a message. `false` if there is no accepted socket: nothing is kept for later. */
  send(data: string | Uint8Array): boolean
  /** Ends the connection for good. */
  close(code?: number, reason?: string): void
}

/** Failures of the edge are for its credential, all others for the gate's. */
const edgeLayers: ReadonlySet<string> = new Set(['edge-access'])

/** Connects over a transport; the entries of the package call it with theirs. */
export function createConnection(
  url: string | URL,
  options: ConnectOptions,
  defaultTransport: () => Transport,
): Connection {
  const transport = options.transport ?? defaultTransport()
  const {
    handshake = upgateHandshake(),
    protocols = [],
    timeout = 15_000,
    keepAlive = 45_000,
    signal,
  } = options
  const { clock = systemClock, random = Math.random, docs } = options
  checkOptions(options, transport, handshake)
  const {
    min = 1000,
    max = 30_000,
    stableAfter = 30_000,
  } = typeof options.reconnect === 'object' ? options.reconnect : {}
  const again = options.reconnect !== false

  const emitter = createEmitter<ConnectionEvents>([
    'state',
    'accepted',
    'message',
    'failed',
    'pairing',
    'token',
    'renewed',
    'renewal_failed',
    'closed',
  ])
  const stopped = new AbortController()
  let state: State = { name: 'connecting', attempt: 1 }
  let attempt: Attempt | undefined
  let timer: { cancel(): void } | undefined
  let unwatch = (): void => {}
  let failures = 0
  let attempts = 0
  let acceptedAt: number | undefined
  /** Whether a refusal was answered with another credential since the last stable acceptance. */
  let replaced = false
  let last: Credential | undefined
  let lastEdge: EdgeCredential | undefined
  let shownRequest: string | undefined
  const probed = new Set<string>()
  let settle: { resolve(acceptance: Acceptance): void; reject(error: unknown): void } | undefined
  const accepted = new Promise<Acceptance>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // Its rejection is also an event: an application that does not await it must not crash.
  accepted.catch(() => {})

  const enter = (next: State): void => {
    state = next
    emitter.emit('state', next)
  }
  const verdict = (observation: Observation): Diagnosis =>
    diagnose(observation, docs === undefined ? {} : { docs })
  const finish = (error: ConnectError | undefined): void => {
    if (state.name === 'closed') return
    timer?.cancel()
    unwatch()
    stopped.abort()
    enter({ name: 'closed', error })
    settle?.reject(error ?? new ConnectError(verdict({ error: { aborted: true } })))
    emitter.emit('closed', error)
  }

  const credentialFor = async (
    reason: CredentialRequest['reason'],
    diagnosis?: Diagnosis,
  ): Promise<Credential | undefined> => {
    const { credential } = options
    if (typeof credential !== 'function') return credential
    const fetched = await credential({ reason, diagnosis, signal: stopped.signal })
    if (fetched !== undefined) checkCredential(fetched)
    return fetched
  }
  const edgeFor = async (): Promise<EdgeCredential | undefined> => {
    const edge = typeof options.edge === 'function' ? await options.edge() : options.edge
    if (edge !== undefined) checkEdge(edge)
    return edge
  }

  const start = async (
    reason: CredentialRequest['reason'] = 'connect',
    refusal?: Diagnosis,
  ): Promise<void> => {
    if (state.name === 'closed') return
    attempts += 1
    enter({ name: 'connecting', attempt: attempts })
    const target = readTarget(String(url))
    if (target.url === undefined)
      return ended({
        diagnosis: verdict(target.observation),
        observation: target.observation,
        pairing: undefined,
      })
    const exposed = isExposed(target.url)
    const refuse = (error: NonNullable<Observation['error']>): void => {
      const observation: Observation = { url: target.url, error }
      ended({ diagnosis: verdict(observation), observation, pairing: undefined })
    }
    const outgoing = {
      edge: options.edge !== undefined,
      headers: lowerCase(options.headers ?? {}),
      credential: undefined,
      accepted: options.dangerouslySendCredentialsOverPlain === true,
    }
    // Before any function is asked for a secret that could not be sent.
    const early = exposed ? plainRefusal(outgoing) : undefined
    if (early !== undefined) return refuse(early)
    let credential: Credential | undefined
    let edge: EdgeCredential | undefined
    try {
      credential = await credentialFor(reason, refusal)
      edge = await edgeFor()
    } catch (error) {
      return refuse({ code: 'credential_unavailable', name: clean(error instanceof Error ? error.name : '') })
    }
    // It may have been closed while a credential was fetched.
    if (stopped.signal.aborted) return
    const late = exposed ? plainRefusal({ ...outgoing, credential }) : undefined
    if (late !== undefined) return refuse(late)
    if (
      reason === 'refused' &&
      refusal !== undefined &&
      isSame(credential, last) &&
      JSON.stringify(edge) === JSON.stringify(lastEdge)
    ) {
      return finish(new ConnectError(refusal))
    }
    last = credential
    lastEdge = edge
    const headers = lowerCase({ ...options.headers, ...(edge !== undefined && edgeHeaders(edge)) })
    const kinds: SentCredential[] = [
      ...(credential === undefined ? [] : [handshake.kindOf(credential)]),
      ...(edge === undefined ? [] : (['edge_service_token'] as const)),
      ...kindsOf(headers),
    ]
    const secrets = [
      ...secretsOf(credential),
      ...(edge === undefined ? [] : [edge.clientId, edge.clientSecret]),
      ...Object.entries(headers).flatMap(([name, value]) => (isSecretHeader(name) ? secretParts(value) : [])),
    ]
    attempt = startAttempt(
      {
        url: target.url,
        transport,
        handshake,
        credential,
        headers,
        protocols,
        sent: { credentials: kinds, client: transport.sendsHeaders ? 'library' : 'browser' },
        secrets,
        mayAddSecrets: !exposed || outgoing.accepted,
        timeout,
        keepAlive,
        clock,
        docs,
      },
      {
        opened: () => enter({ name: 'authenticating', attempt: attempts }),
        accepted(acceptance) {
          acceptedAt = clock.now()
          attempts = 0
          probed.clear()
          enter({ name: 'accepted', acceptance })
          settle?.resolve(acceptance)
          if (acceptance.deviceToken !== undefined) emitter.emit('token', acceptance.deviceToken)
          emitter.emit('accepted', acceptance)
        },
        message: (data) => emitter.emit('message', data),
        after(step) {
          if (step.step === 'renewed') {
            if (state.name === 'accepted') enter({ name: 'accepted', acceptance: step.acceptance })
            emitter.emit('renewed', step.acceptance)
          } else if (step.step === 'renewal_failed') {
            emitter.emit('renewal_failed', { code: clean(step.code, 64), message: clean(step.message) })
          } else void renew(target.url)
        },
        ended: (end) => void look(end, target.url, headers, secrets),
      },
    )
  }

  /** Fetches and sends a newer credential, if there is a function to ask; otherwise the expiry ends the socket. */
  const renew = async (target: string): Promise<void> => {
    if (typeof options.credential !== 'function') return
    const from = attempt
    try {
      const newer = await credentialFor('renewal')
      // The socket may have been opened with a device key, which is no secret on the wire.
      if (isExposed(target) && !options.dangerouslySendCredentialsOverPlain && secretsOf(newer).length > 0) {
        const { code, message = '' } = overPlain('the renewed credential')
        return emitter.emit('renewal_failed', { code: String(code), message })
      }
      if (newer !== undefined && from === attempt && from?.renew(newer) === true) last = newer
    } catch {
      emitter.emit('renewal_failed', {
        code: 'credential_unavailable',
        message: 'The function that fetches the credential failed.',
      })
    }
  }

  /** A second look, where the first verdict is one of several. */
  const look = async (
    end: AttemptEnd,
    target: string,
    headers: Readonly<Record<string, string>>,
    secrets: readonly string[],
  ): Promise<void> => {
    const { code, confusableWith, severity } = end.diagnosis
    attempt = undefined
    const wanted =
      transport.probe !== undefined &&
      (confusableWith.length > 0 || !transport.sendsHeaders) &&
      severity === 'error' &&
      !probed.has(code) &&
      !stopped.signal.aborted &&
      acceptedAt === undefined
    if (!wanted) return ended(end)
    probed.add(code)
    let probes: Observation['probes']
    try {
      probes = await transport.probe?.({ url: target, headers, code, timeout: Math.min(timeout, 3000) })
    } catch {
      // The probe only adds facts to the diagnosis.
    }
    if (probes === undefined) return ended(end)
    const observation = { ...end.observation, probes: withoutSecrets(probes, secrets) }
    ended({ ...end, observation, diagnosis: verdict(observation) })
  }

  const ended = ({ diagnosis, pairing }: AttemptEnd): void => {
    if (state.name === 'closed') return
    if (stopped.signal.aborted) {
      finish(undefined)
      return
    }
    const stable = acceptedAt !== undefined && clock.now() - acceptedAt >= stableAfter
    acceptedAt = undefined
    if (stable) {
      failures = 0
      replaced = false
    }
    const error = new ConnectError(diagnosis)
    emitter.emit('failed', error)
    // A listener may have closed it.
    if (stopped.signal.aborted) return
    if (diagnosis.code === 'pairing_required' && pairing !== undefined) {
      const request = `${pairing.requestId} ${pairing.comparisonCode}`
      if (request !== shownRequest) emitter.emit('pairing', pairing)
      shownRequest = request
    }
    const source = edgeLayers.has(diagnosis.layer) ? options.edge : options.credential
    const renewable = typeof source === 'function' && !replaced
    if (!again || diagnosis.retry === 'never' || (diagnosis.retry === 'after_new_credential' && !renewable)) {
      finish(error)
      return
    }
    if (diagnosis.retry === 'after_new_credential') {
      replaced = true
      wait(Math.round(random() * min), error, () => void start('refused', diagnosis))
      return
    }
    const pause = pauseAfter(diagnosis, failures, { min, max }, random)
    failures += 1
    wait(pause, error, () => void start())
  }

  const wait = (milliseconds: number, error: ConnectError, next: () => void): void => {
    const { network } = transport
    if (network !== undefined && !network.isOnline()) {
      enter({ name: 'offline', error })
      unwatch()
      unwatch = network.onChange(() => {
        if (!network.isOnline()) return
        unwatch()
        // All devices of a network come back at the same moment.
        wait(Math.round(random() * min), error, next)
      })
      return
    }
    enter({ name: 'waiting', until: clock.now() + milliseconds, error })
    timer = clock.setTimer(Math.min(milliseconds, 2 ** 31 - 1), () => {
      // The network may have gone during the pause.
      if (network !== undefined && !network.isOnline()) wait(0, error, next)
      else next()
    })
  }

  const close = (code = 1000, reason = ''): void => {
    if (state.name === 'closed') return
    stopped.abort()
    attempt?.close(code, reason)
    finish(undefined)
  }
  const onAbort = (): void => {
    stopped.abort()
    attempt?.close(1000, 'aborted')
    finish(new ConnectError(verdict({ url: String(url), error: { aborted: true } })))
  }
  // After the caller has had the chance to add its listeners.
  queueMicrotask(() => {
    if (signal?.aborted === true) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    emitter.on('closed', () => signal?.removeEventListener('abort', onAbort))
    void start()
  })

  return {
    get state() {
      return state
    },
    accepted,
    on: emitter.on,
    send: (data) => attempt?.send(data) ?? false,
    close,
  }
}

function lowerCase(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** The kinds of credentials in headers that the application gave itself. */
function kindsOf(headers: Readonly<Record<string, string>>): readonly SentCredential[] {
  return [
    ...(/^\s*\{/.test(headers.authorization ?? '') ? (['edge_service_token'] as const) : []),
    ...(/^Bearer /i.test(headers.authorization ?? '') ? (['bearer'] as const) : []),
    ...('cf-access-client-id' in headers ? (['edge_service_token'] as const) : []),
    ...('cf-access-token' in headers ? (['edge_user_token'] as const) : []),
    ...('cookie' in headers ? (['cookie'] as const) : []),
    ...('x-api-key' in headers ? (['api_key'] as const) : []),
  ]
}

/** A header's value, and the words in it: a server may echo the token without `Bearer`. */
function secretParts(value: string): readonly string[] {
  return [value, ...value.split(/[\s;,=]+/).filter((part) => part.length >= 12)]
}
