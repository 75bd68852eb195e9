// A store written with `upgate/store` and docs/guide-stores.md alone: all records in one JSON file.
// Every operation reads the file, changes it and writes it, synchronously: atomic for all connections of one process.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import {
  type AccountRecord,
  type AcquaintanceRecord,
  type InvitationRecord,
  type Page,
  type PageRequest,
  type PairingRecord,
  type PairingStore,
  type RememberingStore,
  type Revocation,
  type RevocationDraft,
  type SessionRecord,
  StoreUnavailable,
  type TicketRecord,
  type TokenRecord,
  type TokenStore,
  type Touch,
} from 'upgate/store'

interface Content {
  accounts: AccountRecord[]
  sessions: SessionRecord[]
  keys: TokenRecord[]
  devices: TokenRecord[]
  log: Revocation[]
  pairings: PairingRecord[]
  invitations: InvitationRecord[]
  keyOwners: Record<string, string>
  tickets: TicketRecord[]
  acquaintances: AcquaintanceRecord[]
  secrets: Record<string, string>
  /** Place of each record in the order of creation, by kind and id. */
  places: Record<string, number>
  /** The last place given. */
  last: number
}

const empty: Content = {
  accounts: [],
  sessions: [],
  keys: [],
  devices: [],
  log: [],
  pairings: [],
  invitations: [],
  keyOwners: {},
  tickets: [],
  acquaintances: [],
  secrets: {},
  places: {},
  last: 0,
}

/** Runs one operation on the records of the file. */
type Use = <T>(operation: (content: Content) => T) => Promise<T>

export function jsonFileStore(file: string): RememberingStore {
  let closed = false

  const use: Use = async (operation) => {
    if (closed) throw new StoreUnavailable('store_closed', 'The file is closed.')
    let result: ReturnType<typeof operation>
    try {
      const before = existsSync(file) ? readFileSync(file, 'utf8') : JSON.stringify(empty)
      const content = JSON.parse(before) as Content
      result = operation(content)
      number(content)
      const after = JSON.stringify(content)
      if (after !== before) {
        writeFileSync(`${file}.new`, after, { mode: 0o600 })
        renameSync(`${file}.new`, file)
      }
    } catch (cause) {
      throw new StoreUnavailable('store_unavailable', 'The file cannot be read or written.', { cause })
    }
    return result
  }

  return {
    accounts: {
      any: () => use(({ accounts }) => accounts.length > 0),
      get: (id) => use(({ accounts }) => accounts.find((each) => each.id === id)),
      byEmail: (email) => use(({ accounts }) => accounts.find((each) => each.email === email)),
      list: () => use(({ accounts }) => byCreation(accounts)),
      page: (request) => use((content) => pageOf(content, 'accounts', request, () => true)),
      add: (record) =>
        use(({ accounts }) => {
          if (accounts.some(({ id, email }) => id === record.id || email === record.email)) return false
          accounts.push(record)
          return true
        }),
      addFirst: (record) =>
        use(({ accounts }) => {
          if (accounts.length > 0) return false
          accounts.push(record)
          return true
        }),
      replace: (record, revocations) =>
        use(({ accounts, log }) => {
          if (accounts.some(({ id, email }) => id !== record.id && email === record.email)) return undefined
          return swap(accounts, record) ? append(log, revocations) : undefined
        }),
    },
    sessions: {
      get: (id) => use(({ sessions }) => sessions.find((each) => each.id === id)),
      list: (accountId) => use(({ sessions }) => newestFirst(sessions, accountId)),
      page: (accountId, request) =>
        use((content) => pageOf(content, 'sessions', request, (each) => each.accountId === accountId, -1)),
      add: (record, atMost) =>
        use((content) => {
          if (content.sessions.some(({ id }) => id === record.id)) return undefined
          content.sessions.push(record)
          const surplus = newestFirst(content.sessions, record.accountId).slice(atMost)
          content.sessions = content.sessions.filter((each) => !surplus.includes(each))
          return append(
            content.log,
            surplus.map(({ id }) => ({
              at: record.createdAt,
              selector: { sessionId: id },
              reason: 'revoked',
            })),
          )
        }),
      rotate: (id, from, to, revocation) =>
        use(({ sessions, log }) => {
          const at = sessions.findIndex((each) => each.id === id && each.digest === from)
          if (at === -1) return undefined
          sessions[at] = { ...(sessions[at] as SessionRecord), ...to }
          return append(log, [revocation])[0]
        }),
      remove: (id, revocation) =>
        use(({ sessions, log }) => {
          const at = sessions.findIndex((each) => each.id === id)
          if (at === -1) return undefined
          sessions.splice(at, 1)
          return append(log, [revocation])[0]
        }),
      removeOf: (accountId, generation) =>
        use((content) => {
          const kept = content.sessions.filter(
            (each) => each.accountId !== accountId || each.generation >= generation,
          )
          const removed = content.sessions.length - kept.length
          content.sessions = kept
          return removed
        }),
      purge: (expiredBy, lastSeenBefore, atMost) =>
        use((content) => {
          const over = content.sessions.filter(
            (each) => each.expiresAt <= expiredBy || each.lastSeenAt < lastSeenBefore,
          )
          const gone = new Set(over.slice(0, atMost))
          const kept = content.sessions.filter((each) => !gone.has(each))
          const removed = content.sessions.length - kept.length
          content.sessions = kept
          return removed
        }),
      touch: (touches) => use(({ sessions }) => touch(sessions, touches, 'lastSeenAt')),
    },
    keys: tokens(use, 'keys'),
    devices: tokens(use, 'devices'),
    revocations: {
      append: (drafts) => use(({ log }) => append(log, drafts)),
      head: () => use(({ log }) => log.length),
      since: (sequence, limit) => use(({ log }) => log.slice(sequence, sequence + limit)),
    },
    pairings: pairings(use),
    tickets: {
      add: (record, atMost) =>
        use((content) => {
          if (content.tickets.some(({ id }) => id === record.id)) return false
          content.tickets.push(record)
          const own = content.tickets.filter(
            ({ principal: { id, kind } }) => id === record.principal.id && kind === record.principal.kind,
          )
          const surplus = byCreation(own).slice(0, Math.max(0, own.length - atMost))
          content.tickets = content.tickets.filter((each) => !surplus.includes(each))
          return true
        }),
      get: (id) => use(({ tickets }) => tickets.find((each) => each.id === id)),
      take: (id) =>
        use(({ tickets }) => {
          const at = tickets.findIndex((each) => each.id === id)
          return at === -1 ? undefined : tickets.splice(at, 1)[0]
        }),
      purge: (expiredBy, atMost) =>
        use((content) => {
          const gone = new Set(
            content.tickets.filter(({ expiresAt }) => expiresAt <= expiredBy).slice(0, atMost),
          )
          const kept = content.tickets.filter((each) => !gone.has(each))
          const removed = content.tickets.length - kept.length
          content.tickets = kept
          return removed
        }),
    },
    acquaintances: {
      list: (now, limit) =>
        use(({ acquaintances }) => byEnd(acquaintances.filter(({ until }) => until > now)).slice(0, limit)),
      note: (records, now, atMost) =>
        use((content) => {
          const until = new Map(content.acquaintances.map((each) => [each.digest, each.until]))
          for (const each of records)
            until.set(each.digest, Math.max(each.until, until.get(each.digest) ?? 0))
          const all = [...until].map(([digest, end]) => ({ digest, until: end }))
          content.acquaintances = byEnd(all.filter((each) => each.until > now)).slice(0, atMost)
        }),
    },
    secrets: {
      keep: (name, value) =>
        use(({ secrets }) => {
          const kept = secrets[name] ?? value
          secrets[name] = kept
          return kept
        }),
    },
    async close() {
      closed = true
    },
  }
}

function tokens(use: Use, kind: 'keys' | 'devices'): TokenStore {
  return {
    get: (id) => use((content) => content[kind].find((each) => each.id === id)),
    list: () => use((content) => byCreation(content[kind])),
    page: ({ revoked, ...request }) =>
      use((content) => pageOf(content, kind, request, (each) => revoked || each.revokedAt === undefined)),
    add: (record) =>
      use((content) => {
        if (content[kind].some(({ id }) => id === record.id)) return false
        content[kind].push(record)
        return true
      }),
    replace: (record, revocations) =>
      use((content) => {
        const { lastUsedAt } = content[kind].find(({ id }) => id === record.id) ?? {}
        const written = lastUsedAt === undefined ? record : { ...record, lastUsedAt }
        return swap(content[kind], written) ? append(content.log, revocations) : undefined
      }),
    touch: (touches) => use((content) => touch(content[kind], touches, 'lastUsedAt')),
  }
}

function pairings(use: Use): PairingStore {
  const isOpen = ({ state }: PairingRecord): boolean =>
    state === 'pending' || state === 'approved' || state === 'rejected'
  return {
    request: (record, { now, atMost, perAddress, code }) =>
      use((content) => {
        const existing = content.pairings.find((each) => each.subject === record.subject)
        if (existing !== undefined && isOpen(existing) && existing.expiresAt > now) {
          return { outcome: 'existing', record: existing }
        }
        const invitation =
          code === undefined
            ? undefined
            : content.invitations.find(({ digest, expiresAt }) => digest === code && expiresAt > now)
        if (code !== undefined && invitation === undefined) return { outcome: 'no_invitation' }
        const waiting = content.pairings.filter(
          (each) => each.state === 'pending' && each.quota === record.quota && each.expiresAt > now,
        )
        const near = waiting.filter((each) => each.clientAddress === record.clientAddress)
        if (waiting.length >= atMost) return { outcome: 'full' }
        if (record.clientAddress !== undefined && near.length >= perAddress) return { outcome: 'full' }
        content.pairings = content.pairings.filter((each) => each !== existing)
        content.pairings.push(record)
        content.invitations = content.invitations.filter((each) => each !== invitation)
        return { outcome: 'added', record }
      }),
    get: (id) => use((content) => content.pairings.find((each) => each.id === id)),
    bySubject: (subject) => use((content) => content.pairings.find((each) => each.subject === subject)),
    list: (state) => use((content) => byCreation(content.pairings.filter((each) => each.state === state))),
    page: (state, request) =>
      use((content) => pageOf(content, 'pairings', request, (each) => each.state === state)),
    replace: (record) => use((content) => swap(content.pairings, record)),
    collect: (record, device, keyId) =>
      use((content) => {
        if (!swap(content.pairings, record)) return false
        content.devices.push(device)
        if (keyId !== undefined) content.keyOwners[keyId] = device.id
        return true
      }),
    expire: (now, forgetBefore) =>
      use((content) => {
        const overdue: PairingRecord[] = []
        content.pairings = content.pairings.map((each) => {
          if (each.expiresAt > now || (each.state !== 'pending' && each.state !== 'approved')) return each
          const expired: PairingRecord = { ...each, state: 'expired', version: each.version + 1 }
          overdue.push(expired)
          return expired
        })
        content.pairings = content.pairings.filter(
          (each) => overdue.includes(each) || isOpen(each) || each.expiresAt > forgetBefore,
        )
        content.invitations = content.invitations.filter(({ expiresAt }) => expiresAt > now)
        return overdue
      }),
    deviceOfKey: (keyId) => use((content) => content.keyOwners[keyId]),
    bindKey: (device, keyId, holder) =>
      use((content) => {
        const lastUsedAt = content.devices.find(({ id }) => id === device.id)?.lastUsedAt
        if (content.keyOwners[keyId] !== holder) return false
        if (!swap(content.devices, { ...device, lastUsedAt })) return false
        content.keyOwners[keyId] = device.id
        return true
      }),
    invite: (invitation) =>
      use(({ invitations }) => {
        const { id, digest } = invitation
        if (invitations.some((each) => each.id === id || each.digest === digest)) return false
        invitations.push(invitation)
        return true
      }),
    invitation: (digest, now) =>
      use(({ invitations }) => invitations.find((each) => each.digest === digest && each.expiresAt > now)),
    invitations: (now) =>
      use(({ invitations }) => byCreation(invitations.filter(({ expiresAt }) => expiresAt > now))),
    uninvite: (id) =>
      use((content) => {
        const kept = content.invitations.filter((each) => each.id !== id)
        const removed = kept.length < content.invitations.length
        content.invitations = kept
        return removed
      }),
  }
}

const paged = ['accounts', 'sessions', 'keys', 'devices', 'pairings'] as const

/** Gives new records their places, and forgets those of removed ones. */
function number(content: Content): void {
  const before = content.places
  content.places = {}
  for (const kind of paged) {
    for (const { id } of content[kind]) {
      content.last += before[`${kind} ${id}`] === undefined ? 1 : 0
      content.places[`${kind} ${id}`] = before[`${kind} ${id}`] ?? content.last
    }
  }
}

/** A page in order of creation; the cursor is the place of the last record, and outlives it. */
function pageOf<K extends (typeof paged)[number]>(
  content: Content,
  kind: K,
  { after, limit }: PageRequest,
  wanted: (record: Content[K][number]) => boolean,
  direction: 1 | -1 = 1,
): Page<Content[K][number]> {
  const from = after === undefined ? -direction * Number.MAX_SAFE_INTEGER : Number(after)
  const found = (content[kind] as Content[K][number][])
    .filter(wanted)
    .map((record) => ({ record, place: content.places[`${kind} ${record.id}`] ?? 0 }))
    .filter(({ place }) => direction * (place - from) > 0)
    .sort((a, b) => direction * (a.place - b.place))
  const records = found.slice(0, limit).map(({ record }) => record)
  return found.length > limit ? { records, next: `${found[limit - 1]?.place}` } : { records }
}

/** Compare and set by version. */
function swap<R extends { readonly id: string; readonly version: number }>(records: R[], record: R): boolean {
  const at = records.findIndex(({ id, version }) => id === record.id && version === record.version - 1)
  if (at === -1) return false
  records[at] = record
  return true
}

function append(log: Revocation[], drafts: readonly RevocationDraft[]): readonly Revocation[] {
  const entries = drafts.map((draft, i) => ({ sequence: log.length + i + 1, ...draft }))
  log.push(...entries)
  return entries
}

function touch<F extends string>(
  records: ({ readonly id: string } & { readonly [N in F]?: number | undefined })[],
  touches: readonly Touch[],
  field: F,
): void {
  for (const { id, at } of touches) {
    const index = records.findIndex((each) => each.id === id)
    const record = records[index]
    if (record !== undefined && (record[field] ?? 0) < at) records[index] = { ...record, [field]: at }
  }
}

function byCreation<R extends { readonly createdAt: number }>(records: readonly R[]): R[] {
  return records.toSorted((a, b) => a.createdAt - b.createdAt)
}

function newestFirst(sessions: readonly SessionRecord[], accountId: string): SessionRecord[] {
  return byCreation(sessions.filter((each) => each.accountId === accountId)).reverse()
}

function byEnd(records: readonly AcquaintanceRecord[]): AcquaintanceRecord[] {
  return records.toSorted((a, b) => b.until - a.until)
}
