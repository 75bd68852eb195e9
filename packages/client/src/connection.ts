import { clean, type Diagnosis, diagnose, type Observation } from '@upgate/diagnosis'
import type { CreateAdmission } from './access/admission.ts'
import { startAttempt } from './attempt.ts'
import type { Attempt, AttemptEnd, AttemptEvents } from './attempt-contract.ts'
import { pauseAfter } from './backoff.ts'
import { systemClock } from './clock.ts'
import { type Credential, type CredentialRequest, isSame } from './credential.ts'
import { ConnectError } from './error.ts'
import { createEmitter } from './events.ts'
import type { Acceptance } from './handshake.ts'
import { upgateHandshake } from './handshakes/upgate.ts'
import { type ConnectOptions, checkAbilities, checkOptions } from './options.ts'
import { createPause } from './pause.ts'
import { prepare } from './prepare.ts'
import { renewCredential } from './renewal.ts'
import { createSecondLook } from './second-look.ts'
import { type ConnectionEvents, eventNames, type State } from './state.ts'
import { fetchOver, type Transport } from './transport.ts'

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

/** The parts that the entries of the package differ in. */
export interface Platform {
  readonly transport: () => Transport
  /** Verifies the metadata of Access before a user's token is sent. Without it, no such token is. */
  readonly createAdmission?: CreateAdmission
}

/** Connects over a transport; the entries of the package call it with theirs. */
export function createConnection(url: string | URL, options: ConnectOptions, platform: Platform): Connection {
  if (typeof url !== 'string' && !(url instanceof URL)) {
    throw new TypeError('connect: the first argument must be a URL, as text or as an object.')
  }
  checkOptions(options)
  const transport = options.transport ?? platform.transport()
  const {
    handshake = upgateHandshake(),
    protocols = [],
    timeout = 15_000,
    keepAlive = 45_000,
    signal,
  } = options
  const { clock = systemClock, random = Math.random, docs } = options
  checkAbilities(options, transport, handshake, platform.createAdmission !== undefined)
  const {
    min = 1000,
    max = 30_000,
    stableAfter = 30_000,
  } = typeof options.reconnect === 'object' ? options.reconnect : {}
  const again = options.reconnect !== false

  const emitter = createEmitter<ConnectionEvents>(eventNames)
  const stopped = new AbortController()
  const secondLook = createSecondLook(transport, { timeout, docs })
  const admission = platform.createAdmission?.({ fetch: fetchOver(transport), clock, timeout })
  let state: State = { name: 'connecting', attempt: 1 }
  let attempt: Attempt | undefined
  let failures = 0
  let attempts = 0
  let acceptedAt: number | undefined
  /** Whether a refusal was answered with another credential since the last stable acceptance. */
  let replaced = false
  let last: { readonly credential: Credential | undefined; readonly edge: string } | undefined
  let lastError: ConnectError | undefined
  let shownRequest: string | undefined
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
  const pause = createPause({
    clock,
    network: transport.network,
    spread: () => Math.round(random() * min),
    waiting: (until) => enter({ name: 'waiting', until, error: lastError as ConnectError }),
    offline: () => enter({ name: 'offline', error: lastError }),
  })
  const verdict = (observation: Observation): Diagnosis =>
    diagnose(observation, docs === undefined ? {} : { docs })
  const finish = (error: ConnectError | undefined): void => {
    if (state.name === 'closed') return
    pause.end()
    stopped.abort()
    enter({ name: 'closed', error })
    settle?.reject(error ?? new ConnectError(verdict({ error: { aborted: true } })))
    emitter.emit('closed', error)
  }

  const start = async (
    reason: CredentialRequest['reason'] = 'connect',
    refusal?: Diagnosis,
  ): Promise<void> => {
    if (state.name === 'closed') return
    attempts += 1
    enter({ name: 'connecting', attempt: attempts })
    const prepared = await prepare(String(url), options, {
      handshake,
      sendsHeaders: transport.sendsHeaders,
      reason,
      refusal,
      signal: stopped.signal,
      admission,
    })
    // It may have been closed while a credential was fetched.
    if (stopped.signal.aborted) return
    if (prepared.parts === undefined) {
      ended({ diagnosis: verdict(prepared.observation), pairing: undefined })
      return
    }
    const { parts } = prepared
    const edge = JSON.stringify(prepared.edge)
    if (refusal !== undefined && last?.edge === edge && isSame(parts.credential, last.credential)) {
      finish(new ConnectError(refusal))
      return
    }
    last = { credential: parts.credential, edge }
    const events: AttemptEvents = {
      opened: () => enter({ name: 'authenticating', attempt: attempts }),
      accepted(acceptance) {
        acceptedAt = clock.now()
        attempts = 0
        secondLook.reset()
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
        } else void renew(parts.mayAddSecrets)
      },
      ended(end) {
        attempt = undefined
        if (acceptedAt !== undefined || stopped.signal.aborted) ended(end)
        else void secondLook.at(end, parts).then(ended)
      },
    }
    attempt = startAttempt(
      { ...parts, transport, handshake, protocols, timeout, keepAlive, clock, docs },
      events,
    )
  }

  const renew = async (maySendSecrets: boolean): Promise<void> => {
    const newer = await renewCredential(options.credential, {
      current: () => attempt,
      maySendSecrets,
      signal: stopped.signal,
      failed: (failure) => emitter.emit('renewal_failed', failure),
    })
    if (newer !== undefined && last !== undefined) last = { ...last, credential: newer }
  }

  const ended = ({ diagnosis, pairing }: Pick<AttemptEnd, 'diagnosis' | 'pairing'>): void => {
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
    lastError = error
    emitter.emit('failed', error)
    // A listener may have closed it.
    if (stopped.signal.aborted) return
    if (diagnosis.code === 'pairing_required' && pairing !== undefined) {
      const request = `${pairing.requestId} ${pairing.comparisonCode}`
      if (request !== shownRequest) emitter.emit('pairing', pairing)
      shownRequest = request
    }
    const byEdge = edgeLayers.has(diagnosis.layer)
    if (byEdge) admission?.forget()
    const source = byEdge ? options.edge : options.credential
    const renewable = typeof source === 'function' && !replaced
    if (!again || diagnosis.retry === 'never' || (diagnosis.retry === 'after_new_credential' && !renewable)) {
      finish(error)
      return
    }
    if (diagnosis.retry === 'after_new_credential') {
      replaced = true
      pause.begin(Math.round(random() * min), () => void start('refused', diagnosis))
      return
    }
    const milliseconds = pauseAfter(diagnosis, failures, { min, max }, random)
    failures += 1
    pause.begin(milliseconds, () => void start())
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
    if (state.name === 'closed') return
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
