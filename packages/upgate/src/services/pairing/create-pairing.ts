import type { AuditEvent } from '../../core/contract/events.ts'
import { createAuditEvents } from '../../core/live/audit-events.ts'
import { milliseconds } from '../../core/options/option-kinds.ts'
import type { Timer } from '../../core/ports/clock.ts'
import type { InvitationRecord, PairingRecord } from '../../core/ports/pairings.ts'
import { StoreUnavailable } from '../../core/ports/stores.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { createId } from '../../crypto/tokens.ts'
import { pageRequest, shownPage } from '../pages.ts'
import { checkName, checkNames } from '../record-input.ts'
import { createTokenProver } from './beside-token.ts'
import { comparisonCode, createBootstrapCode, normaliseBootstrapCode } from './codes.ts'
import type { PairingParts } from './parts.ts'
import { createPower, nameOf, refusal } from './power.ts'
import { createProver } from './prove.ts'
import { createRotatedProver } from './rotated.ts'
import type {
  Invitation,
  NewInvitation,
  Pairing,
  PairingActor,
  PairingDecision,
  PairingRefusal,
  PairingRequest,
} from './types.ts'
import { createUpgrades } from './upgrades.ts'

type Step = Extract<AuditEvent, { type: 'pairing' }>['step']

/** Milliseconds for which ended requests are kept, so that a late decision is told how the request ended. */
const remembered = 600_000
const windowLength = milliseconds(120_000, 1_000, 600_000)
const maxAttempts = 5
/** Milliseconds between two writes of the time at which one device asked last. */
const askedPrecision = 10_000

/** Creates the pairing service. */
export function createPairing(parts: PairingParts): Pairing & { close(): void } {
  const { store, clock, logger, randomBytes, options } = parts
  const power = createPower(options.roles, options.actorScope)
  const events = createAuditEvents(logger)
  let timer: Timer | undefined
  let closed = false

  function report(step: Step, of: Partial<PairingRecord> | InvitationRecord, by?: string): void {
    if (!events.active) return
    const granted = 'granted' in of ? of.granted : undefined
    const { role = '', scopes = [] } = granted ?? of
    const clientAddress = 'clientAddress' in of ? of.clientAddress : undefined
    const { id: subjectId } = of
    const deviceId = granted?.deviceId ?? ('deviceId' in of ? of.deviceId : undefined)
    const subject = 'subject' in of ? of.subject : undefined
    events.emit({
      type: 'pairing',
      at: clock.now(),
      step,
      subjectId,
      deviceId,
      by,
      role,
      scopes,
      clientAddress,
      peerAddress: 'peerAddress' in of ? of.peerAddress : undefined,
      name: granted?.name ?? ('name' in of ? of.name : undefined),
      comparisonCode: subjectId && subject && comparisonCode(subjectId, subject),
      keyId: subject && keyOf(subject),
    })
  }

  async function tidy(): Promise<void> {
    const now = clock.now()
    for (const record of await store.expire(now, now - remembered)) report('expired', record)
  }

  /** Keeps at most one timer, and only while a request of this process may be waiting. */
  function tidyLater(): void {
    if (closed || timer !== undefined) return
    timer = clock.setTimer(options.requestLifetime, () => {
      timer = undefined
      tidy()
        .then(() => store.page('pending', { limit: 1 }))
        .then(({ records }) => {
          if (records.length > 0) tidyLater()
        })
        .catch((error: unknown) => {
          logger.warn('Expired pairing requests could not be tidied up.', { error: String(error) })
          tidyLater()
        })
    })
  }

  /** Notes that the device is still there. If another writer is faster, its write counts: a decision above all. */
  async function askedAgain(record: PairingRecord): Promise<void> {
    const now = clock.now()
    if (now - (record.askedAt ?? record.createdAt) < askedPrecision) return
    await store.replace({ ...record, version: record.version + 1, askedAt: now })
  }

  const upgrades = createUpgrades({ ...parts, options, report, tidy, tidyLater, askedAgain })

  async function decide(
    id: string,
    actor: PairingActor,
    from: readonly PairingRecord['state'][],
    next: (record: PairingRecord) => Partial<PairingRecord> | PairingRefusal,
  ): Promise<PairingDecision> {
    const refused = power.mayAct(actor)
    if (refused !== undefined) return refused
    for (let i = 0; i < maxAttempts; i++) {
      const record = await store.get(id)
      if (record === undefined) return refusal('unknown_request', 'There is no such pairing request.')
      const now = clock.now()
      if (record.state === 'expired' || (record.expiresAt <= now && from.includes(record.state))) {
        return refusal('request_expired', 'The pairing request has expired; let the device connect again.')
      }
      if (!from.includes(record.state)) {
        return refusal('already_decided', `The pairing request is ${record.state} already.`)
      }
      const change = next(record)
      if ('outcome' in change) return change
      const decided: PairingRecord = {
        ...record,
        ...change,
        version: record.version + 1,
        decidedAt: now,
        decidedBy: nameOf(actor),
        expiresAt: now + options.requestLifetime,
      }
      if (!(await store.replace(decided))) continue
      report(decided.state === 'rejected' ? 'rejected' : 'approved', decided, nameOf(actor))
      tidyLater()
      return { outcome: 'done', request: show(decided) }
    }
    throw new StoreUnavailable('store_busy', 'Others kept changing the record.')
  }

  async function invite(
    { actor, role = 'node', scopes = [] }: NewInvitation,
    kind: 'code' | 'window',
    lifetime: number,
    code: string | undefined,
  ): Promise<{ readonly outcome: 'done'; readonly invitation: Invitation } | PairingRefusal> {
    const limit = { role: checkNames('roles', [role])[0] as string, scopes: checkNames('scopes', scopes) }
    const refused = power.mayGrant(actor, limit, undefined)
    if (refused !== undefined) return refused
    const now = clock.now()
    await tidy()
    if ((await store.invitations(now)).length >= options.maxInvitations) {
      throw new StoreUnavailable('store_full', 'Too many bootstrap codes and windows are open: revoke some.')
    }
    const id = createId(randomBytes)
    const invitation: InvitationRecord = {
      id,
      kind,
      digest: sha256(code === undefined ? id : (normaliseBootstrapCode(code) as string)),
      createdBy: nameOf(actor),
      createdAt: now,
      expiresAt: now + lifetime,
      ...limit,
    }
    if (!(await store.invite(invitation))) {
      throw new StoreUnavailable('store_corrupt', 'A random id was taken already.')
    }
    report(kind === 'code' ? 'invited' : 'window_opened', invitation, nameOf(actor))
    return { outcome: 'done', invitation: withoutDigest(invitation) }
  }

  return {
    async pending() {
      await tidy()
      return (await store.list('pending')).map(show)
    },
    async pendingPage(options = {}) {
      const request = pageRequest('pairing.pendingPage', options)
      await tidy()
      return shownPage(await store.page('pending', request), show)
    },
    async get(id) {
      const record = await store.get(id)
      return record && show(record)
    },
    async approve(id, { actor, name, role, scopes }) {
      const decision = await decide(id, actor, ['pending'], (record) => {
        const granted = {
          name: checkName(name ?? record.name),
          role: checkNames('roles', [role ?? record.role])[0] as string,
          scopes: checkNames('scopes', scopes ?? record.scopes),
          deviceId: record.deviceId ?? createId(randomBytes),
        }
        // A paired device has its token already: there is nothing to collect.
        const state = record.deviceId === undefined ? 'approved' : 'collected'
        return power.mayGrant(actor, granted, record.limit) ?? { state, granted }
      })
      if (decision.outcome !== 'done' || decision.request.upgrade === undefined) return decision
      const record = await store.get(id)
      if (record?.granted === undefined || !(await upgrades.apply(record, record.granted)))
        return refusal('unknown_request', 'The device that asks for more was revoked, or has another key.')
      return decision
    },
    reject: (id, { actor }) =>
      decide(id, actor, ['pending', 'approved'], () => ({ state: 'rejected', granted: undefined })),
    bootstrap: {
      async create(invitation) {
        const code = createBootstrapCode(randomBytes)
        const made = await invite(invitation, 'code', options.codeLifetime, code)
        return made.outcome === 'done' ? { ...made, code } : made
      },
      list: async () => (await store.invitations(clock.now())).map(withoutDigest),
      async revoke(id, { actor }) {
        if (power.mayAct(actor) !== undefined) return false
        const found = (await store.invitations(clock.now())).find((invitation) => invitation.id === id)
        if (found === undefined || !(await store.uninvite(id))) return false
        report('uninvited', found, nameOf(actor))
        return true
      },
    },
    async openWindow({ for: duration = windowLength.standard, ...invitation }) {
      return invite(invitation, 'window', windowLength.read('openWindow', 'for', duration), undefined)
    },
    prove: createProver({ ...parts, options, report, tidy, tidyLater, askedAgain, upgrades }),
    proveRotated: createRotatedProver({
      ...parts,
      handedOver({ id: deviceId, name, scopes, roles }, clientAddress) {
        const granted = { deviceId, name, scopes, role: roles[0] ?? '' }
        report('renewed', { granted, clientAddress })
      },
    }),
    proveWithToken: createTokenProver({
      ...parts,
      options,
      bound({ id: deviceId, name, scopes, roles }, keyId, { clientAddress, peerAddress }) {
        const granted = { deviceId, name, scopes, role: roles[0] ?? '' }
        report('key_bound', { granted, subject: `key:${keyId}`, clientAddress, peerAddress })
      },
    }),
    isBootstrapCode: (text) => normaliseBootstrapCode(text) !== undefined,
    events,
    revocations: parts.revocations,
    close() {
      closed = true
      timer?.cancel()
    },
  }
}

function withoutDigest({ digest: _, ...rest }: InvitationRecord): Invitation {
  return rest
}

function keyOf(subject: string): string | undefined {
  return /^(?:key|upgrade):(.+)$/.exec(subject)?.[1]
}

function upgradeOf({ deviceId, asks = [] }: PairingRecord): PairingRequest['upgrade'] {
  return deviceId === undefined ? undefined : { deviceId, asks }
}

/** Shows a record to a page: without digests, with the code to compare. */
export function show(record: PairingRecord): PairingRequest {
  const { id, state, subject, introduction, introducer, limit, name, role, scopes } = record
  return {
    id,
    comparisonCode: comparisonCode(id, subject),
    state,
    keyId: keyOf(subject),
    introduction,
    introducer,
    limit,
    name,
    role,
    scopes,
    clientAddress: record.clientAddress,
    peerAddress: record.peerAddress,
    createdAt: record.createdAt,
    askedAt: record.askedAt ?? record.createdAt,
    expiresAt: record.expiresAt,
    decidedBy: record.decidedBy,
    granted: record.granted,
    stated: record.stated,
    upgrade: upgradeOf(record),
  }
}
