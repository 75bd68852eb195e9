import {
  type Diagnosis,
  diagnose,
  type Observation,
  type Reached,
  type Sent,
  withoutSecrets,
} from '@upgate/diagnosis'
import type { Clock } from './clock.ts'
import type { Credential } from './credential.ts'
import type { Acceptance, AfterStep, ClientHandshake, Conversation, UpgradeParts } from './handshake.ts'
import { HandshakeFailure } from './handshakes/failure.ts'
import { isSecretHeader, refusal as overPlain } from './plain.ts'
import type { Transport, TransportEvents, TransportSocket } from './transport.ts'

/** Everything that one attempt needs, with its credentials fetched. */
export interface AttemptSetup {
  readonly url: string
  readonly transport: Transport
  readonly handshake: ClientHandshake
  readonly credential: Credential | undefined
  /** Headers for the edge, and those of the options. */
  readonly headers: Readonly<Record<string, string>>
  readonly protocols: readonly string[]
  readonly sent: Sent
  readonly secrets: readonly string[]
  /** Whether the handshake may add headers and secrets to the upgrade: others could read them on an exposed URL. */
  readonly mayAddSecrets: boolean
  /** Milliseconds up to the acceptance. */
  readonly timeout: number
  /** Milliseconds between pings; 0 sends none. */
  readonly keepAlive: number
  readonly clock: Clock
  readonly docs: string | undefined
}

/** The events of an attempt. `ended` comes exactly once, and last. */
export interface AttemptEvents {
  opened(): void
  accepted(acceptance: Acceptance): void
  message(data: string | Uint8Array): void
  after(step: Exclude<AfterStep, { step: 'data' }>): void
  ended(end: AttemptEnd): void
}

/** The end of an attempt. */
export interface AttemptEnd {
  readonly diagnosis: Diagnosis
  readonly observation: Observation
  /** Facts of a refusal for a person: what to compare while a pairing waits. */
  readonly pairing: PairingFacts | undefined
}

/** The facts that a person compares while a pairing waits for approval. */
export interface PairingFacts {
  readonly comparisonCode: string | undefined
  readonly requestId: string | undefined
}

/** A running attempt. */
export interface Attempt {
  send(data: string | Uint8Array): boolean
  renew(credential: Credential): boolean
  close(code: number, reason: string): void
}

/** After a refusal the server closes; if it does not within this time, the client ends the socket. */
const refusalGrace = 3000
/** From the client's close frame to the end of the socket. */
const closeGrace = 2000
/** For the answer to a ping. */
const pongGrace = 20_000
/** Frames kept for the diagnosis, and characters of each. */
const keptFrames = 16
const keptLength = 16_384

/** Opens one socket, authenticates it, and reports how it ended. It never throws. */
export function startAttempt(setup: AttemptSetup, events: AttemptEvents): Attempt {
  const { url, transport, handshake, credential, clock } = setup
  const abort = new AbortController()
  const frames: string[] = []
  const secrets = [...setup.secrets]
  let observation: Observation = { url, sent: setup.sent }
  let reached: Reached | undefined
  let stage: 'opening' | 'authenticating' | 'accepted' | 'ended' = 'opening'
  let socket: TransportSocket | undefined
  let conversation: Conversation | undefined
  let openedAt: number | undefined
  let lastByte = clock.now()
  let closing: { code: number; reason: string } | undefined
  let pinged = false
  let queue: Promise<void> = Promise.resolve()

  let deadline = clock.setTimer(setup.timeout, () => {
    giveUp({ timedOut: true, message: `No acceptance within ${setup.timeout / 1000} s.` })
  })
  let keepAlive: { cancel(): void } | undefined

  const end = (close?: { code: number; reason: string }): void => {
    if (stage === 'ended') return
    const wasAccepted = stage === 'accepted'
    stage = 'ended'
    deadline.cancel()
    keepAlive?.cancel()
    abort.abort()
    const now = clock.now()
    const raw: Observation = {
      ...observation,
      reached: wasAccepted ? 'accepted' : reached,
      frames,
      ...(close !== undefined && (openedAt !== undefined || observation.error === undefined) && { close }),
      times: { at: now, idle: now - lastByte, ...(openedAt !== undefined && { open: now - openedAt }) },
    }
    // Before anything else sees it: a server may echo what it was sent.
    const clean = withoutSecrets(raw, secrets)
    const diagnosis = diagnose(clean, setup.docs === undefined ? {} : { docs: setup.docs })
    events.ended({ diagnosis, observation: clean, pairing: pairingIn(frames) })
  }
  const giveUp = (error: Observation['error']): void => {
    if (stage === 'ended') return
    observation = { ...observation, error }
    socket?.terminate()
    end({ code: 1006, reason: '' })
  }
  const transmit = (data: readonly string[]): void => {
    for (const frame of data) socket?.send(frame)
    if (data.length > 0) lastByte = clock.now()
  }
  const accept = (acceptance: Acceptance): void => {
    stage = 'accepted'
    deadline.cancel()
    frames.length = 0
    schedulePing()
    events.accepted(acceptance)
  }
  const schedulePing = (): void => {
    if (setup.keepAlive === 0 || socket?.ping === undefined) return
    keepAlive?.cancel()
    keepAlive = clock.setTimer(setup.keepAlive, () => {
      pinged = true
      socket?.ping?.()
      keepAlive = clock.setTimer(pongGrace, () => {
        // Half-open: without this, nothing would ever notice.
        if (pinged) {
          socket?.terminate()
          end({ code: 4000, reason: 'no answer to a ping' })
        } else schedulePing()
      })
    })
  }
  const keep = (text: string): void => {
    frames.push(text.slice(0, keptLength))
    if (frames.length > keptFrames) frames.shift()
  }

  const begin = async (): Promise<void> => {
    conversation = handshake.begin?.(credential, talk)
    const first = (await conversation?.opened()) ?? []
    if (stage !== 'authenticating') return
    transmit(first)
    if (conversation === undefined || conversation.acceptedAtOpen === true) accept({ roles: [], scopes: [] })
  }
  const receive = async (text: string): Promise<void> => {
    if (stage === 'ended') return
    if (stage === 'accepted') return deliver(text)
    keep(text)
    const step = (await conversation?.receive(text)) ?? { step: 'wait' as const }
    if (stage !== 'authenticating') return
    if (step.step === 'accepted') accept(step.acceptance)
    else if (step.step === 'send') transmit(step.frames)
    else if (step.step === 'refused') {
      deadline.cancel()
      deadline = clock.setTimer(refusalGrace, () => {
        socket?.terminate()
        end()
      })
    }
  }
  const deliver = (text: string): void => {
    // The words of an end, and no data of the application, are kept for the diagnosis.
    if (/^\{"type":"(?:auth_error|event","event":"shutdown)/.test(text)) keep(text)
    const step = conversation?.after?.(text) ?? { step: 'data' as const }
    if (step.step === 'data') events.message(text)
    else events.after(step)
  }
  const failed = (error: unknown): void => {
    // A handshake that throws: its message may hold a secret, and only its kind is shown.
    if (error instanceof HandshakeFailure) {
      observation = { ...error.observation }
      socket?.terminate()
      end(error.observation.close === undefined ? undefined : { code: 1006, reason: '' })
      return
    }
    giveUp({ code: 'credential_unavailable', name: error instanceof Error ? error.name : 'Error' })
  }

  const talk = { url, clock, signal: abort.signal, headers: setup.headers }
  const listener: TransportEvents = {
    reached(step) {
      reached = step
    },
    observed(facts) {
      observation = { ...observation, ...facts }
    },
    active() {
      lastByte = clock.now()
    },
    opened() {
      if (stage !== 'opening') return
      stage = 'authenticating'
      reached = 'open'
      openedAt = clock.now()
      lastByte = openedAt
      events.opened()
      queue = begin().catch(failed)
    },
    message(data) {
      lastByte = clock.now()
      if (typeof data !== 'string') {
        if (stage === 'accepted') events.message(data)
        return
      }
      if (stage === 'accepted') return deliver(data)
      // In order, although a handshake may sign asynchronously.
      queue = queue.then(() => receive(data)).catch(failed)
    },
    pong() {
      pinged = false
      lastByte = clock.now()
      schedulePing()
    },
    closed(code, reason) {
      // Frames that arrived before the close are read first.
      void queue.then(() => end(closing !== undefined && code === 1006 ? closing : { code, reason }))
    },
  }

  const open = (parts: UpgradeParts): void => {
    if (stage === 'ended') return
    if (
      !setup.mayAddSecrets &&
      (parts.secrets?.length || Object.keys(parts.headers ?? {}).some(isSecretHeader))
    ) {
      giveUp(overPlain('what the handshake adds to the upgrade'))
      return
    }
    secrets.push(...(parts.secrets ?? []), ...Object.values(parts.headers ?? {}))
    const headers = { ...setup.headers, ...parts.headers }
    const protocols = [...setup.protocols, ...(parts.protocols ?? [])]
    observation = { ...observation, sent: { ...setup.sent, protocols: protocols.length } }
    socket = transport.open({ url, protocols, headers, timeout: setup.timeout }, listener)
  }
  if (handshake.upgrade === undefined) open({})
  else {
    const prepare = handshake.upgrade.bind(handshake)
    // A function that throws at once counts as one that rejects.
    new Promise<UpgradeParts>((resolve) => resolve(prepare(credential, talk))).then(open).catch(failed)
  }

  return {
    send(data) {
      if (stage !== 'accepted' || closing !== undefined) return false
      socket?.send(data)
      lastByte = clock.now()
      return true
    },
    renew(newer) {
      const frame = stage === 'accepted' ? conversation?.renew?.(newer) : undefined
      if (frame === undefined) return false
      socket?.send(frame)
      return true
    },
    close(code, reason) {
      if (stage === 'ended' || closing !== undefined) return
      closing = { code, reason }
      if (stage === 'opening') {
        socket?.terminate()
        return end(closing)
      }
      socket?.close(code, reason)
      deadline.cancel()
      deadline = clock.setTimer(closeGrace, () => {
        socket?.terminate()
        end(closing)
      })
    },
  }
}

/** The facts of the last refusal that waits for a pairing; both checked, because they are shown to people. */
function pairingIn(frames: readonly string[]): PairingFacts | undefined {
  for (const frame of frames.toReversed()) {
    if (!frame.includes('pairing_required') && !frame.includes('PAIRING_REQUIRED')) continue
    const code = /"comparisonCode":"([A-Za-z\d][A-Za-z\d -]{2,15})"/.exec(frame)?.[1]
    const id = /"requestId":"([A-Za-z\d][\w.:-]{0,127})"/.exec(frame)?.[1]
    return { comparisonCode: code, requestId: id }
  }
  return undefined
}
