import { diagnose, type Observation, type Reached, withoutSecrets } from '@upgate/diagnosis'
import type { Attempt, AttemptEvents, AttemptSetup } from './attempt-contract.ts'
import type { Acceptance, Conversation, UpgradeParts } from './handshake.ts'
import { HandshakeFailure } from './handshakes/failure.ts'
import { createKeepAlive } from './keep-alive.ts'
import { createKeptFrames, pairingIn } from './kept-frames.ts'
import { isSecretHeader, refusal as overPlain } from './plain.ts'
import { fetchOver, type TransportEvents, type TransportSocket } from './transport.ts'

/** After a refusal the server closes; if it does not within this time, the client ends the socket. */
const refusalGrace = 3000
/** From the client's close frame to the end of the socket. */
const closeGrace = 2000
/** Characters of frames that wait while a handshake signs: a hostile server sends without end. */
const mostWaiting = 4 * 1024 * 1024

/** Opens one socket, authenticates it, and reports how it ended. It never throws. */
export function startAttempt(setup: AttemptSetup, events: AttemptEvents): Attempt {
  const { url, transport, handshake, credential, clock } = setup
  const abort = new AbortController()
  const { frames, keep, clear } = createKeptFrames()
  const secrets = [...setup.secrets]
  let observation: Observation = { url, sent: setup.sent }
  let reached: Reached | undefined
  let stage: 'opening' | 'authenticating' | 'accepted' | 'ended' = 'opening'
  let socket: TransportSocket | undefined
  let conversation: Conversation | undefined
  let openedAt: number | undefined
  let lastByte = clock.now()
  let closing: { code: number; reason: string } | undefined
  let queue: Promise<void> = Promise.resolve()
  let waiting = 0

  let deadline = clock.setTimer(setup.timeout, () => {
    giveUp({ timedOut: true, message: `No acceptance within ${setup.timeout / 1000} s.` })
  })
  const keepAlive = createKeepAlive({
    every: setup.keepAlive,
    clock,
    ping: () => socket?.ping?.(),
    lost() {
      socket?.terminate()
      end({ code: 4000, reason: 'no answer to a ping' })
    },
  })

  const end = (close?: { code: number; reason: string }): void => {
    if (stage === 'ended') return
    const wasAccepted = stage === 'accepted'
    stage = 'ended'
    deadline.cancel()
    keepAlive.stop()
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
    events.ended({ diagnosis, observation: clean, pairing: pairingIn(frames), secrets })
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
    clear()
    if (socket?.ping !== undefined) keepAlive.start()
    events.accepted(acceptance)
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

  const talk = {
    url,
    clock,
    signal: abort.signal,
    headers: setup.headers,
    fetch: fetchOver(transport),
  }
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
      waiting += data.length
      if (waiting > mostWaiting) {
        giveUp({ code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', message: 'Too much before the acceptance.' })
        return
      }
      queue = queue
        .then(() => {
          waiting -= data.length
          return receive(data)
        })
        .catch(failed)
    },
    pong() {
      lastByte = clock.now()
      keepAlive.answered()
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
    try {
      socket = transport.open({ url, protocols, headers, timeout: setup.timeout }, listener)
    } catch (error) {
      // Against its contract; a connection that never ends would be worse.
      const { name, message } = error as Partial<Error>
      giveUp({ name, message })
    }
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
