import { randomUUID } from 'node:crypto'
import { type Clock, deviceKey, type Transport } from '@upgate/client'
import { ProblemError } from '../http/problem.ts'
import { isPairingCode, type Secrets } from './credential.ts'
import type { RemoteKey } from './key.ts'
import { type Link, type LinkStep, openLink } from './link.ts'
import { orUnavailable, type RemoteRecord, type RemoteRecords } from './records.ts'
import { keyMissing, locked, sealAll, unlock, vaultFor } from './sealed.ts'
import { checkTogether, type RemoteSettings, type SecretName, secretNames } from './settings.ts'
import { lockedOf, type RemoteState } from './state.ts'
import { type RemoteView, viewOf } from './view.ts'

/** A step of the connection, with the record that it belongs to. */
export type RemoteStep = LinkStep & { readonly url: string; readonly setBy: string }

export interface RemoteOptions {
  readonly records: RemoteRecords
  readonly key: RemoteKey
  readonly transport: Transport
  /** Default: the system's. */
  readonly clock: Clock | undefined
  /** Milliseconds since the epoch. */
  now(): number
  /** Name of this gateway at the other one. */
  readonly name: string
  log(message: string): void
  /** Called after every change of the view. */
  changed(): void
  stepped(step: RemoteStep): void
}

/** This gateway as a node of another one. */
export interface Remote {
  view(): RemoteView
  /** Opens the stored connection, if there is one. A failure is logged, and shown. */
  start(): Promise<void>
  /** Stores the connection and opens it, in place of any other. Resolves with the names of the stored secrets. */
  set(settings: RemoteSettings, by: string): Promise<readonly SecretName[]>
  /** Ends the connection and forgets it with its secrets. Resolves with its URL, if there was one. */
  remove(): Promise<string | undefined>
  close(): Promise<void>
}

/** Milliseconds between two claims, where instances share the record. */
const interval = 1000
/** Milliseconds without a claim, after which this instance must expect that another one connects. */
const claimLifetime = 15_000

/** Keeps the one connection: its record, its secrets, and the link. */
export function createRemote(options: RemoteOptions): Remote {
  const { key, transport, clock, now, name, log, changed, stepped } = options
  const records = orUnavailable(options.records)
  let record: RemoteRecord | undefined
  let link: Link | undefined
  /** The state without a link: locked, or that of another instance. */
  let other: RemoteState | undefined
  let offSince = now()
  let lastClaim = now()
  let timer: NodeJS.Timeout | undefined
  let failing = false
  let closed = false
  let queue: Promise<unknown> = Promise.resolve()

  /** One change at a time. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = queue.then(work)
    queue = done.catch(() => {})
    return done
  }

  const end = (): void => {
    const ended = link
    link = undefined
    other = undefined
    ended?.close()
  }

  const begin = (started: RemoteRecord): void => {
    end()
    record = started
    const secrets = unlock(key, started)
    if (secrets === undefined) {
      other = lockedOf(now(), 'Put the former key back and start the gateway again.')
      return
    }
    const { url, setBy } = started
    const opened = openLink({
      url,
      secrets,
      name,
      transport,
      clock,
      now,
      changed() {
        if (link !== opened) return
        changed()
        if (records.shared) void beat()
      },
      stepped(step) {
        if (link === opened) stepped({ ...step, url, setBy })
      },
      paired: (deviceToken) =>
        void inTurn(() => keepToken(started, deviceToken)).catch((error: unknown) =>
          log(`The token of the other gateway could not be stored: ${String(error)}`),
        ),
    })
    link = opened
  }

  const keepToken = async (paired: RemoteRecord, deviceToken: string): Promise<void> => {
    const opened = record?.id === paired.id ? unlock(key, record) : undefined
    if (record === undefined || opened === undefined) return
    const { token, ...rest } = opened
    // A pairing code is used up now.
    const secrets = { ...rest, ...(token !== undefined && !isPairingCode(token) && { token }), deviceToken }
    record = { ...record, sealed: sealAll(vaultFor(key), record, secrets) }
    await records.update(record)
    changed()
  }

  const claim = async (): Promise<void> => {
    const report = link && record && { record: record.id, text: JSON.stringify(link.state()) }
    const found = await records.claim(report)
    if (closed) return
    lastClaim = now()
    failing = false
    const before = JSON.stringify(view())
    if (found === undefined) {
      end()
      record = undefined
    } else if (found.mine) {
      if (record?.id !== found.record.id || (link === undefined && other?.state !== 'locked'))
        begin(found.record)
    } else {
      end()
      record = found.record
      other = stateIn(found.report)
    }
    if (JSON.stringify(view()) !== before) changed()
  }

  const beat = (): Promise<void> =>
    inTurn(claim).catch((error: unknown) => {
      if (!failing) log(`The connection to the other gateway cannot be looked up: ${String(error)}`)
      failing = true
      // Another instance may hold it by now.
      if (link !== undefined && now() - lastClaim >= claimLifetime) {
        end()
        changed()
      }
    })

  function view(): RemoteView {
    const idle = record === undefined ? 'off' : 'waiting'
    const state = link?.state() ?? other ?? { state: idle, since: new Date(offSince).toISOString() }
    const missing = records.shared && key.vault() === undefined
    return viewOf(state, record, missing ? keyMissing.detail : null)
  }

  /**
   * The former secrets of the same URL. For another URL there are none: they must not be sent anywhere else.
   *
   * @param needed whether the new setting leaves any of them as it was
   */
  const formerOf = (url: string, needed: boolean): Secrets => {
    if (record?.url !== url) return {}
    const secrets = unlock(key, record)
    if (secrets === undefined && needed) throw new ProblemError(locked)
    return secrets ?? {}
  }

  return {
    view,
    async start() {
      if (records.shared) timer = setInterval(() => void beat(), interval)
      await inTurn(claim).catch((error: unknown) => {
        log(`The connection to the other gateway cannot be opened: ${String(error)}`)
        other = lockedOf(now(), 'The log of this gateway says why.')
      })
    },
    set: ({ url, given }, by) =>
      inTurn(async () => {
        const vault = vaultFor(key)
        const needed = secretNames.some((each) => given[each] === undefined)
        const former = formerOf(url, needed)
        const chosen = Object.fromEntries(
          secretNames.flatMap((each) => {
            const value = given[each] === undefined ? former[each] : given[each]
            return typeof value === 'string' ? [[each, value]] : []
          }),
        ) as Partial<Record<SecretName, string>>
        checkTogether(url, chosen)
        // The other gateway knows this one by its key. Another token makes a new request with it; no token, a new key.
        const { privateKey = deviceKey().privateKey } = given.token === null ? {} : former
        const deviceToken = given.token === undefined ? former.deviceToken : undefined
        const secrets: Secrets = { ...chosen, privateKey, ...(deviceToken !== undefined && { deviceToken }) }
        const id = randomUUID()
        const next = { id, url, setBy: by, setAt: now(), sealed: sealAll(vault, { id, url }, secrets) }
        await records.write(next)
        end()
        record = undefined
        await claim()
        changed()
        return secretNames.filter((each) => chosen[each] !== undefined)
      }),
    remove: () =>
      inTurn(async () => {
        const url = record?.url
        await records.remove()
        end()
        record = undefined
        offSince = now()
        changed()
        key.forget()
        return url
      }),
    async close() {
      closed = true
      clearInterval(timer)
      await queue
      end()
      await records.close()
    },
  }
}

function stateIn(report: string | undefined): RemoteState | undefined {
  try {
    return report === undefined ? undefined : (JSON.parse(report) as RemoteState)
  } catch {
    return undefined
  }
}
