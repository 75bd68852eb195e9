import type { Verification, VerifyContext } from '../../core/contract/credential.ts'
import type { DeviceProof } from '../../core/contract/device-proof.ts'
import type { Principal } from '../../core/contract/principal.ts'
import type { FailureCount } from '../../core/ports/failures.ts'
import type { PairingGrant, PairingRecord } from '../../core/ports/pairings.ts'
import { keyIdOf, type TokenRecord } from '../../core/ports/token-record.ts'
import { networksOf } from '../../core/request/networks.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { createId, createToken } from '../../crypto/tokens.ts'
import { rejected, storeFailed, unavailable } from '../tokens/verdicts.ts'
import { comparisonCode, createRequestId, normaliseBootstrapCode } from './codes.ts'
import { checkKeyProof, clockIsWrong } from './key-proof.ts'
import type { PairingParts } from './parts.ts'
import type { Pairing } from './types.ts'
import type { Upgrades } from './upgrades.ts'
import { namesOf, readableName, statedIn } from './wishes.ts'

interface ProverParts extends PairingParts {
  readonly upgrades: Upgrades
  askedAgain(record: PairingRecord): Promise<void>
  report(step: 'requested' | 'collected' | 'full', record: Partial<PairingRecord>, by?: string): void
  tidy(): Promise<void>
  tidyLater(): void
}

/** The device that asks, under the name that its pairing requests are stored by. */
interface Subject {
  readonly subject: string
  readonly keyId: string | undefined
}

/** Wrong bootstrap codes allowed in a minute: per known address, and for all unknown addresses together. */
const wrongCodes = { known: 10, unknown: 100 }
/** Form of a claim secret: `randomBytes(32).toString('base64url')` or longer. */
const claimForm = /^[A-Za-z0-9_-]{43,128}$/

/** Creates the function that identifies the device behind a proof and the pairing request it waits for. */
export function createProver(parts: ProverParts): Pairing['prove'] {
  const { store, devices, clock, revocations, randomBytes, judge, failures, options } = parts

  function identify(proof: DeviceProof): Subject | Verification {
    if (proof.by === 'claim') {
      if (!claimForm.test(proof.secret)) {
        return rejected('invalid_credential', 'a claim secret is 43 to 128 characters of base64url')
      }
      return { subject: `claim:${sha256(proof.secret)}`, keyId: undefined }
    }
    const result = checkKeyProof(proof, clock.now())
    if (result.problem !== undefined) return rejected('invalid_credential', result.problem)
    if (result.late) return clockIsWrong(clock.now())
    return { subject: `key:${result.keyId}`, keyId: result.keyId }
  }

  async function prove(
    proof: DeviceProof,
    context: VerifyContext,
    introducer: Principal | undefined,
  ): Promise<Verification> {
    const who = identify(proof)
    if ('outcome' in who) return who
    await revocations.ready()
    const bound = who.keyId === undefined ? undefined : await store.deviceOfKey(who.keyId)
    const holder = bound === undefined ? undefined : await devices.get(bound)
    // A key that was bound to a token ends with it.
    const device = holder && isKeyOf(holder, who.keyId) ? holder : undefined
    const known = device && (await judge(device))
    if (known?.outcome === 'unavailable') return known
    if (known?.outcome === 'authenticated')
      return parts.upgrades.letIn(known, device as TokenRecord, proof.wish, context)
    const record = await store.bySubject(who.subject)
    const live = record !== undefined && record.expiresAt > clock.now() ? record : undefined
    switch (live?.state) {
      case 'pending':
        if (!context.dryRun) await parts.askedAgain(live)
        return waiting(live)
      case 'rejected':
        return toldRejected(live)
      case 'approved':
        return collecting(live, live.granted as PairingGrant, who)
      case 'collected':
        // From now on the key identifies the device; a claim secret can be used only once.
        if (who.keyId === undefined) return usedUp(live)
    }
    if (context.dryRun) return known ?? unknownDevice
    // A revoked device must not return by asking again: only an invitation lets it ask.
    const code = proof.beside === undefined ? undefined : normaliseBootstrapCode(proof.beside.value)
    if (known !== undefined && code === undefined) return known
    // A stolen device must not be able to introduce further devices.
    const byHttp = context.httpPrincipal?.kind === 'device' ? undefined : context.httpPrincipal
    return ask(who, proof, context, code, introducer ?? byHttp)
  }

  async function ask(
    who: Subject,
    proof: DeviceProof,
    context: VerifyContext,
    code: string | undefined,
    introducer: Principal | undefined,
  ): Promise<Verification> {
    if (code === undefined) return request(who, proof, context, undefined, introducer)
    const attempt = await failures.begin(countsOf(context.clientAddress))
    if (attempt === undefined) return unavailable('too many codes are being checked', 1)
    if (!attempt.allowed) {
      return {
        outcome: 'throttled',
        reason: 'too many wrong bootstrap codes',
        retryAfter: attempt.retryAfter,
      }
    }
    try {
      const answer = await request(who, proof, context, code, introducer)
      attempt.end(answer.outcome === 'rejected' && answer.code === 'invalid_credential' ? 'failed' : 'void')
      return answer
    } catch (error) {
      attempt.end('void')
      throw error
    }
  }

  async function request(
    who: Subject,
    { wish }: DeviceProof,
    context: VerifyContext,
    code: string | undefined,
    introducer: Principal | undefined,
  ): Promise<Verification> {
    const now = clock.now()
    const digest = code === undefined ? undefined : sha256(code)
    const invitations = digest === undefined ? await store.invitations(now) : []
    const invitation =
      digest === undefined
        ? invitations.findLast(({ kind }) => kind === 'window')
        : await store.invitation(digest, now)
    if (digest !== undefined && invitation?.kind !== 'code') return wrongCode
    const introduction =
      digest !== undefined
        ? 'code'
        : introducer !== undefined
          ? 'credential'
          : invitation !== undefined
            ? 'window'
            : 'anonymous'
    if (introduction === 'anonymous' && !options.dangerouslyAllowAnonymous) return unknownDevice
    const names = namesOf(wish)
    if (names === undefined)
      return rejected('invalid_credential', 'the role or scopes wished for are malformed')
    const limit =
      invitation !== undefined && (introduction === 'code' || introduction === 'window')
        ? { role: invitation.role, scopes: invitation.scopes }
        : undefined
    const record: PairingRecord = {
      id: createRequestId(createId(randomBytes), who.subject),
      version: 1,
      subject: who.subject,
      state: 'pending',
      quota: introduction === 'code' || introduction === 'credential' ? 'invited' : 'open',
      introduction,
      introducer: introduction === 'credential' ? introducer?.id : limit && invitation?.id,
      limit,
      name: readableName(wish.name),
      // A device that names no role or scopes asks for the role and scopes of its invitation.
      stated: statedIn(wish),
      role: names.role ?? limit?.role ?? 'node',
      scopes: names.scopes ?? limit?.scopes ?? [],
      clientAddress: context.clientAddress,
      peerAddress: context.peerAddress,
      createdAt: now,
      expiresAt: now + options.requestLifetime,
    }
    await parts.tidy()
    const answer = await store.request(record, {
      now,
      atMost: record.quota === 'invited' ? options.maxInvited : options.maxOpen,
      perAddress: options.maxPerAddress,
      code: digest,
    })
    switch (answer.outcome) {
      case 'no_invitation':
        return wrongCode
      case 'full':
        parts.report('full', { ...record, id: undefined as never })
        return {
          ...rejected('pairing_full', 'too many requests are pending'),
          retryAfter: 30,
        } as Verification
      case 'added':
        parts.report('requested', answer.record)
        parts.tidyLater()
        return waiting(answer.record)
      case 'existing':
        if (answer.record.state === 'rejected') return toldRejected(answer.record)
        // Approved at this very moment: the device reconnects and collects its token.
        return waiting(answer.record)
    }
  }

  function waiting(record: PairingRecord): Verification {
    const details = {
      requestId: record.id,
      comparisonCode: comparisonCode(record.id, record.subject),
      expiresAt: record.expiresAt,
    }
    return {
      outcome: 'rejected',
      code: 'pairing_required',
      reason: 'it waits for approval',
      details,
      retryAfter: 5,
    }
  }

  /**
   * Answers "authenticated" at once and makes the token only after the rule admits the device: a token that
   * no client receives must not exist.
   */
  async function collecting(
    record: PairingRecord,
    granted: PairingGrant,
    who: Subject,
  ): Promise<Verification> {
    const token = createToken('ugd', granted.deviceId, randomBytes)
    const device: TokenRecord = {
      id: granted.deviceId,
      version: 1,
      digest: sha256(token),
      keyId: who.keyId,
      stated: record.stated,
      name: granted.name,
      scopes: granted.scopes,
      roles: [granted.role],
      createdBy: record.decidedBy,
      createdAt: clock.now(),
    }
    const provisional = await judge({ ...device, lastUsedAt: clock.now() })
    if (provisional.outcome !== 'authenticated') return provisional
    const issue = async (): Promise<Verification> => {
      const collected: PairingRecord = { ...record, version: record.version + 1, state: 'collected' }
      if (record.expiresAt <= clock.now()) return toldExpired
      if (!(await store.collect(collected, device, who.keyId))) return overtaken(record, who)
      parts.report('collected', collected)
      return { ...provisional, issued: { deviceToken: token } }
    }
    return { ...provisional, issue: () => issue().catch(storeFailed) }
  }

  /** Another socket of this device collected first, or an administrator changed the decision. */
  async function overtaken(before: PairingRecord, who: Subject): Promise<Verification> {
    const record = await store.bySubject(who.subject)
    if (record?.state === 'rejected') return toldRejected(record)
    if (record?.id !== before.id || record.state !== 'collected') return toldExpired
    if (who.keyId === undefined) return usedUp(record)
    // The key proves the device, even if another of its sockets received the token.
    const device = await devices.get((record.granted as PairingGrant).deviceId)
    return device === undefined ? unavailable('the device is not there yet', 1) : judge(device)
  }

  return (proof, context, introducer) => prove(proof, context, introducer).catch(storeFailed)
}

/** Whether a device has this key. Records of earlier releases do not name theirs. */
export function isKeyOf(record: TokenRecord, keyId: string | undefined): boolean {
  if (record.keyToken !== undefined && record.revokedAt !== undefined) return false
  return record.keyId === undefined || keyIdOf(record) === keyId
}

function countsOf(clientAddress: string | undefined): readonly FailureCount[] {
  if (clientAddress === undefined) return [{ key: 'code unknown', limit: wrongCodes.unknown }]
  return networksOf(clientAddress).map(({ key, factor }) => ({
    key: `code ${key}`,
    limit: wrongCodes.known * factor,
  }))
}

const wrongCode = rejected('invalid_credential', 'the bootstrap code is wrong, used up or expired')
const unknownDevice: Verification = Object.freeze({
  outcome: 'rejected',
  code: 'unknown_identity',
  reason: 'this device was not invited to ask for pairing',
  details: { pairing: 'introduction_required' },
})
const toldExpired: Verification = Object.freeze({
  outcome: 'rejected',
  code: 'expired_credential',
  reason: 'the approval was not collected in time',
  details: { pairing: 'request_expired' },
})

function toldRejected({ id, expiresAt }: PairingRecord): Verification {
  const details = { requestId: id, expiresAt }
  return { outcome: 'rejected', code: 'pairing_rejected', reason: 'an administrator rejected it', details }
}

function usedUp({ id }: PairingRecord): Verification {
  const details = { requestId: id, pairing: 'already_collected' }
  return {
    outcome: 'rejected',
    code: 'expired_credential',
    reason: 'its token was collected already',
    details,
  }
}
