import type { InvitationRecord, PairingRecord, PairingStore } from '../../core/ports/pairings.ts'
import type { TokenStore } from '../../core/ports/stores.ts'
import type { TicketRecord, TicketStore } from '../../core/ports/tickets.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import { RecordsInOrder } from './creation-order.ts'

/** Rejects after the store was closed. The operation is one synchronous step, and so atomic. */
type Run = <T>(operation: () => T) => Promise<T>

export function memoryPairings(
  run: Run,
  devices: TokenStore,
  replaceDevice: (device: TokenRecord) => boolean,
): PairingStore {
  const requests = new RecordsInOrder<PairingRecord>()
  const invitations = new Map<string, InvitationRecord>()
  const keys = new Map<string, string>()
  const ofSubject = (subject: string): PairingRecord | undefined =>
    [...requests.values()].find((record) => record.subject === subject)
  const replace = (record: PairingRecord): boolean => {
    if (requests.get(record.id)?.version !== record.version - 1) return false
    requests.set(record.id, structuredClone(record))
    return true
  }
  const findInvitation = (digest: string, now: number): InvitationRecord | undefined =>
    [...invitations.values()].find((one) => one.digest === digest && one.expiresAt > now)

  return {
    request: (record, { now, atMost, perAddress, code }) =>
      run(() => {
        const existing = ofSubject(record.subject)
        if (existing !== undefined && isUnderWay(existing, now)) {
          return { outcome: 'existing', record: structuredClone(existing) }
        }
        const invitation = code === undefined ? undefined : findInvitation(code, now)
        if (code !== undefined && invitation === undefined) return { outcome: 'no_invitation' }
        const pending = [...requests.values()].filter((one) => one.state === 'pending' && one.expiresAt > now)
        const sameQuota = pending.filter((one) => one.quota === record.quota).length
        const address = record.clientAddress
        const sameAddress =
          address === undefined
            ? 0
            : pending.filter((one) => one.quota === record.quota && one.clientAddress === address).length
        if (sameQuota >= atMost || sameAddress >= perAddress) return { outcome: 'full' }
        if (invitation !== undefined) invitations.delete(invitation.id)
        if (existing !== undefined) requests.delete(existing.id)
        requests.set(record.id, structuredClone(record))
        return { outcome: 'added', record }
      }),
    get: (id) => run(() => structuredClone(requests.get(id))),
    bySubject: (subject) => run(() => structuredClone(ofSubject(subject))),
    list: (state) => run(() => structuredClone([...requests.values()].filter((one) => one.state === state))),
    page: (state, request) =>
      run(() => structuredClone(requests.page(request, (one) => one.state === state))),
    replace: (record) => run(() => replace(record)),
    collect: (record, device, keyId) =>
      run(() => {
        if (!replace(record)) return false
        // Takes effect at once: the device store uses the same memory.
        void devices.add(device)
        if (keyId !== undefined) keys.set(keyId, device.id)
        return true
      }),
    expire: (now, forgetBefore) =>
      run(() => {
        const over: PairingRecord[] = []
        for (const record of [...requests.values()]) {
          if (record.expiresAt <= forgetBefore) requests.delete(record.id)
          if (record.expiresAt > now || (record.state !== 'pending' && record.state !== 'approved')) continue
          const expired: PairingRecord = { ...record, state: 'expired', version: record.version + 1 }
          if (requests.has(record.id)) requests.set(record.id, expired)
          over.push(expired)
        }
        for (const one of [...invitations.values()]) if (one.expiresAt <= now) invitations.delete(one.id)
        return structuredClone(over)
      }),
    deviceOfKey: (keyId) => run(() => keys.get(keyId)),
    bindKey: (device, keyId, holder) =>
      run(() => {
        if (keys.get(keyId) !== holder || !replaceDevice(device)) return false
        keys.set(keyId, device.id)
        return true
      }),
    invite: (invitation) =>
      run(() => {
        const taken = [...invitations.values()].some((one) => one.digest === invitation.digest)
        if (taken || invitations.has(invitation.id)) return false
        invitations.set(invitation.id, structuredClone(invitation))
        return true
      }),
    invitation: (digest, now) => run(() => structuredClone(findInvitation(digest, now))),
    invitations: (now) =>
      run(() => structuredClone([...invitations.values()].filter((one) => one.expiresAt > now))),
    uninvite: (id) => run(() => invitations.delete(id)),
  }
}

/** Whether a request prevents a new one of the same subject. */
export function isUnderWay(record: PairingRecord, now: number): boolean {
  return record.expiresAt > now && ['pending', 'approved', 'rejected'].includes(record.state)
}

export function memoryTickets(run: Run): TicketStore {
  const records = new Map<string, TicketRecord>()
  return {
    add: (record, atMost) =>
      run(() => {
        if (records.has(record.id)) return false
        records.set(record.id, structuredClone(record))
        const { kind, id } = record.principal
        const own = [...records.values()].filter(
          (one) => one.principal.kind === kind && one.principal.id === id,
        )
        for (const { id } of own.slice(0, Math.max(0, own.length - atMost))) records.delete(id)
        return true
      }),
    get: (id) => run(() => structuredClone(records.get(id))),
    take: (id) =>
      run(() => {
        const record = records.get(id)
        records.delete(id)
        return record
      }),
    purge: (expiredBy, atMost) =>
      run(() => {
        let purged = 0
        for (const [id, { expiresAt }] of records) {
          if (purged >= atMost) break
          if (expiresAt <= expiredBy && records.delete(id)) purged++
        }
        return purged
      }),
  }
}
