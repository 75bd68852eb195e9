import type { AuditEvent, Principal } from 'upgate'
import { seenAddress } from './client-address.ts'
import { jsonLine } from './json-line.ts'
import { createTokenBucket } from './token-bucket.ts'

/** One line of the audit trail. Flat, so that it can be searched; never holds a secret. */
export interface AuditLine {
  /** From 1, counted by this process. */
  readonly number: number
  /** ISO 8601. */
  readonly at: string
  readonly event: string
  readonly [field: string]: string | number | boolean | readonly string[]
}

/** An event of the application, in addition to the gate's events. */
export interface OwnEvent {
  readonly event:
    | 'account_created'
    | 'logged_in'
    | 'login_failed'
    | 'logged_out'
    | 'browser_distrusted'
    | 'setup_code_wrong'
    | 'setup_code_replaced'
    | 'device_created'
    | 'device_revoked'
    | 'key_created'
    | 'key_revoked'
    | 'session_revoked'
    | 'password_changed'
    | 'user_created'
    | 'user_disabled'
    | 'user_enabled'
    | 'user_logged_out'
    | 'pairing_code_created'
    | 'pairing_window_opened'
    | 'pairing_invitation_ended'
    | 'pairing_approved'
    | 'pairing_rejected'
    | 'pairing_code_wrong'
    | 'remote_set'
    | 'remote_removed'
    | 'remote_connected'
    | 'remote_pairing'
    | 'remote_lost'
    | 'remote_failed'
    | 'remote_stopped'
  readonly [field: string]: string | readonly string[] | undefined
}

/** The audit trail: a bounded list for the page, and one line of JSON per event for the log. */
export interface Audit {
  record(event: OwnEvent): void
  /** Records an event of the gate. */
  observe(event: AuditEvent): void
  /** Newest first. */
  list(): readonly AuditLine[]
  /** Calls the listener for every new line. Returns a function that removes the listener. */
  onLine(listener: (line: AuditLine) => void): () => void
}

export interface AuditOptions {
  /** Milliseconds since the epoch. */
  now(): number
  /** Writes one line of the log. */
  write(line: string): void
  /** Lines kept in memory. Default: 500. */
  readonly capacity?: number
  /** Average lines a second about clients without a credential; further ones are only counted. Default: 50. */
  readonly strangersRate?: number
}

/** Events that a client, or the other gateway of the remote, can cause without a credential, as often as it likes. */
const ofStrangers = new Set([
  'refused',
  'deferred',
  'socket_refused',
  'login_failed',
  'browser_distrusted',
  'setup_code_wrong',
  'pairing_requested',
  'pairing_full',
  'pairing_expired',
  'remote_connected',
  'remote_pairing',
  'remote_lost',
  'remote_failed',
  'remote_stopped',
])

/**
 * Creates the audit trail.
 * Clients without a credential can neither push other events out of memory, since their lines fill at most half of it,
 * nor fill the disk with log lines: the `suppressed` of the next line counts those above the rate.
 */
export function createAudit(options: AuditOptions): Audit {
  const { now, write, capacity = 500, strangersRate = 50 } = options
  const lines: AuditLine[] = []
  const strangers: AuditLine[] = []
  const limit = createTokenBucket(strangersRate * 4, 1000 / strangersRate)
  let suppressed = 0
  const listeners = new Set<(line: AuditLine) => void>()
  /** Connections of open pages: every page has one, so they are not recorded. */
  const pages = new Set<string>()
  let count = 0

  function add(at: number, event: string, fields: Fields): void {
    const anybody = ofStrangers.has(event)
    if (anybody && limit(now()) > 0) {
      suppressed += 1
      return
    }
    count += 1
    const more = anybody && suppressed > 0 ? { suppressed } : {}
    if (anybody) suppressed = 0
    const line: AuditLine = {
      number: count,
      at: new Date(at).toISOString(),
      event,
      ...present({ ...fields, ...more }),
    }
    const kept = anybody ? strangers : lines
    kept.push(line)
    if (strangers.length > capacity / 2) strangers.shift()
    if (lines.length + strangers.length > capacity) (lines.length > capacity / 2 ? lines : strangers).shift()
    write(jsonLine(line))
    for (const listener of listeners) listener(line)
  }

  function isOfPage(event: AuditEvent): boolean {
    if (event.type === 'socket_accepted' && event.place.path === '/ws/live') {
      pages.add(event.connectionId)
      return true
    }
    return event.type === 'socket_closed' && pages.delete(event.connectionId) && event.reason === undefined
  }

  return {
    record({ event, ...fields }) {
      add(now(), event, fields)
    },
    observe(event) {
      // Changes have their own events; pages, assets and health checks would bury all other lines.
      if (event.type === 'allowed' || isOfPage(event)) return
      if (event.type === 'pairing') {
        // The route records a user's decision, with the user's name.
        if (event.by === undefined) add(event.at, `pairing_${event.step}`, fieldsOf(event))
        return
      }
      add(event.at, event.type, fieldsOf(event))
    },
    list: () => [...lines, ...strangers].sort((one, other) => other.number - one.number),
    onLine(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

type Fields = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

function fieldsOf(event: AuditEvent): Fields {
  switch (event.type) {
    case 'allowed':
    case 'deferred':
      return { ...placeOf(event.place), rule: event.rule }
    case 'refused':
      return {
        ...placeOf(event.place),
        ...whoOf(event.principal),
        code: event.code,
        status: event.status,
        detail: event.detail,
        rule: event.rule,
        scheme: event.scheme,
        note: event.note,
      }
    case 'socket_accepted':
      return { ...placeOf(event.place), ...whoOf(event.principal), connection: event.connectionId }
    case 'socket_refused':
      return {
        ...placeOf(event.place),
        code: event.code,
        closeCode: event.closeCode,
        detail: event.detail,
        scheme: event.scheme,
        note: event.note,
      }
    case 'socket_refreshed':
      return { ...whoOf(event.principal), connection: event.connectionId }
    case 'socket_refresh_refused':
      return {
        ...whoOf(event.principal),
        connection: event.connectionId,
        code: event.code,
        detail: event.detail,
        scheme: event.scheme,
        note: event.note,
      }
    case 'socket_closed':
      return { ...whoOf(event.principal), connection: event.connectionId, reason: event.reason }
    case 'revoked': {
      const { sequence, reason, selector } = event.revocation
      return { sequence, reason, ...selector, closed: event.closed }
    }
    case 'pairing':
      return {
        pairing: event.subjectId,
        device: event.deviceId,
        name: event.name,
        comparisonCode: event.comparisonCode,
        key: event.keyId?.slice(0, 16),
        role: event.role,
        scopes: event.scopes,
        ...seenAddress(event.clientAddress, event.peerAddress),
      }
    default:
      // An unknown event of a newer library is recorded with its flat fields.
      return flatOf(event)
  }
}

function flatOf(event: object): Fields {
  const fields: Record<string, string | number | boolean | readonly string[]> = {}
  for (const [name, value] of Object.entries(event)) {
    const flat = Array.isArray(value)
      ? value.every((entry) => typeof entry === 'string')
      : typeof value !== 'object'
    if (name !== 'type' && name !== 'at' && flat && value !== undefined) fields[name] = value
  }
  return fields
}

function placeOf(place: {
  readonly method: string
  readonly path: string
  readonly clientAddress: string | undefined
  readonly peerAddress?: string | undefined
}): Fields {
  const { method, path, clientAddress, peerAddress } = place
  return { method, path, ...seenAddress(clientAddress, peerAddress) }
}

function whoOf(principal: Principal | undefined): Fields {
  if (principal === undefined) return {}
  return {
    kind: principal.kind,
    principal: principal.id,
    name: principal.displayName,
    scheme: principal.scheme,
    credential: principal.credentialId,
  }
}

function present(fields: Fields): Record<string, string | number | boolean | readonly string[]> {
  const kept: Record<string, string | number | boolean | readonly string[]> = {}
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = value
  return kept
}
