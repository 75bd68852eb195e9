import type { Page, PageRequest } from './pages.ts'
import type { TokenRecord } from './token-record.ts'

/** Where a pairing request stands. `expired` = not decided, or not collected, in time. */
export type PairingState = 'pending' | 'approved' | 'rejected' | 'collected' | 'expired'

/**
 * How a device was introduced. `window` and `anonymous` requests share the smaller quota; `upgrade` is a device that is
 * paired and asks for more.
 */
export type PairingIntroduction = 'code' | 'credential' | 'window' | 'anonymous' | 'upgrade'

/** The most that may be granted, where the introduction says so. */
export interface PairingLimit {
  /** The only role that may be granted. */
  readonly role: string
  /** The only scopes that may be granted, exact names. */
  readonly scopes: readonly string[]
}

/** The grant of an approval. */
export interface PairingGrant {
  /** Name of the device, for people. */
  readonly name: string
  /** Role of the device. */
  readonly role: string
  /** Scopes of the device, exact names. */
  readonly scopes: readonly string[]
  /** Id that the device's record will have; chosen at approval, made at collection. */
  readonly deviceId: string
}

/** What a paired device asks for beyond its record. */
export type PairingUpgrade = 'role' | 'scopes' | 'metadata'

/** A device's wish to be let in. Times are milliseconds since the epoch. */
export interface PairingRecord {
  /** Public: fit for logs and pages. */
  readonly id: string
  /** Counts the writes, from 1: what compare-and-set compares. */
  readonly version: number
  /**
   * The asking device: `key:` and a public key's hex SHA-256, or `claim:` and a claim secret's
   * digest; `upgrade:` and the key of a paired device that asks for more. Unique. */
  readonly subject: string
  /** Where the request stands. */
  readonly state: PairingState
  /** The quota that it counts in: `invited` with a code or a credential, `upgrade` of a paired device, else `open`. */
  readonly quota: 'invited' | 'open' | 'upgrade'
  /** How the device was introduced. */
  readonly introduction: PairingIntroduction
  /** Id of the code, window or principal that let it ask. */
  readonly introducer?: string | undefined
  /** The most that may be granted; absent = the approver decides alone. */
  readonly limit?: PairingLimit | undefined
  /** The device's name, as the device says; it grants nothing. */
  readonly name: string
  /** Role that the device asks for. */
  readonly role: string
  /** Scopes that the device asks for. */
  readonly scopes: readonly string[]
  /** What the device says about itself, such as its platform. */
  readonly stated?: string | undefined
  /** Id of the paired device that asks for more; absent = a device that is not paired yet. */
  readonly deviceId?: string | undefined
  /** The scopes of that device when it asked: one that it lost since is not given back by the approval. */
  readonly had?: readonly string[] | undefined
  /** What that device asks for. */
  readonly asks?: readonly PairingUpgrade[] | undefined
  /** Canonical address of the device, where it is known. */
  readonly clientAddress?: string | undefined
  /** Address of the socket's peer, which may be a proxy's; for display only. */
  readonly peerAddress?: string | undefined
  /** Time of the request. */
  readonly createdAt: number
  /** Last attempt of the device while the request was pending, to about 10 s; absent until it asks again. */
  readonly askedAt?: number | undefined
  /** Time from which it can be neither decided nor collected. */
  readonly expiresAt: number
  /** Time of the approval or rejection; absent = not decided. */
  readonly decidedAt?: number | undefined
  /** Principal or operator that decided. */
  readonly decidedBy?: string | undefined
  /** The grant, from the approval on. */
  readonly granted?: PairingGrant | undefined
}

/** A bootstrap code, or a window in which anybody may ask. Times are milliseconds since the epoch. */
export interface InvitationRecord extends PairingLimit {
  /** Public: fit for logs and pages. */
  readonly id: string
  /** `code`: one device may ask. `window`: every device may. */
  readonly kind: 'code' | 'window'
  /** SHA-256 of the code, base64url; of a window its id. Unique. */
  readonly digest: string
  /** Principal or operator that made it. */
  readonly createdBy: string
  /** Time of its creation. */
  readonly createdAt: number
  /** Time from which it no longer counts. */
  readonly expiresAt: number
}

/** The bounds of a new request. */
export interface PairingTerms {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Pending requests of the same quota, this one included. */
  readonly atMost: number
  /** Pending requests of the same quota from one client address, where it is known. */
  readonly perAddress: number
  /** Digest of the bootstrap code that is used up by it. */
  readonly code?: string | undefined
}

/** The outcome of a new request. */
export type PairingAnswer =
  | { readonly outcome: 'added' | 'existing'; readonly record: PairingRecord }
  /** A quota is reached; the code is not used up. */
  | { readonly outcome: 'full' }
  /** The code is unknown, used up or expired. */
  | { readonly outcome: 'no_invitation' }

/**
 * Pairing requests, invitations and the keys of devices. Every operation is atomic, and durable when it has
 * answered.
 */
export interface PairingStore {
  /**
   * Adds a request and uses up its code, or answers the subject's own one that is not over yet (pending, approved
   * or rejected). Of concurrent callers with one subject, one adds; of those with one code, one gets it.
   *
   * The outcomes are tried in this order: `existing`, `no_invitation`, `full`, `added`. A request is over when it was collected, or when its `expiresAt` is at or before `terms.now`, whatever its state. The
   * new request of the same subject takes its place: the old id is unknown from then on.
   *
   * @param record - the new request
   * @param terms - the bounds, and the code that is used up
   */
  request(record: PairingRecord, terms: PairingTerms): Promise<PairingAnswer>
  /** One request by its id, whatever its state. */
  get(id: string): Promise<PairingRecord | undefined>
  /** The request of one device that is not over yet. */
  bySubject(subject: string): Promise<PairingRecord | undefined>
  /**
   * Requests in this state, in order of creation.
   *
   * @param state - of the requests
   */
  list(state: PairingState): Promise<readonly PairingRecord[]>
  /**
   * A page of the list above.
   *
   * @param state - of the requests
   * @param request - the part of the list
   */
  page(state: PairingState, request: PageRequest): Promise<Page<PairingRecord>>
  /**
   * Compare and set: writes if the stored version is `record.version - 1`. False = another writer was faster.
   *
   * @param record - the new state, with the next `version`
   */
  replace(record: PairingRecord): Promise<boolean>
  /**
   * Compare and set as above, and in the same transaction adds the device and binds the key to it. The key belongs
   * to the new device from then on, whatever it belonged to before.
   *
   * @param record - the new state, with the next `version`
   * @param device - the new device
   * @param keyId - hex SHA-256 of its public key; absent for a claim secret
   */
  collect(record: PairingRecord, device: TokenRecord, keyId: string | undefined): Promise<boolean>
  /**
   * Marks overdue requests as expired, with the next `version`, and answers them: of concurrent callers one gets each. Forgets those
   * that are over and whose `expiresAt` is `forgetBy` or earlier, and invitations that are over. Where there are very
   * many, it may leave some for the next call: it is called often, and by `expiresAt` they are over already.
   *
   * @param now - milliseconds since the epoch
   * @param forgetBy - milliseconds since the epoch
   */
  expire(now: number, forgetBy: number): Promise<readonly PairingRecord[]>
  /** Id of the device that a key was given to last. Whether the key still counts is in the device's record. */
  deviceOfKey(keyId: string): Promise<string | undefined>
  /**
   * Compare and set: writes the device if its stored version is `device.version - 1`, and gives it the key in the same
   * transaction if the key belongs to `holder`. False = another writer was faster, nothing changed.
   *
   * @param device - the new state, with the next `version`
   * @param keyId - hex SHA-256 of the public key
   * @param holder - what `deviceOfKey` answered: the device that loses the key, or `undefined` for a new key
   */
  bindKey(device: TokenRecord, keyId: string, holder: string | undefined): Promise<boolean>
  /** Adds if neither id nor digest is taken. */
  invite(invitation: InvitationRecord): Promise<boolean>
  /** One invitation by its digest, if it is not over yet. */
  invitation(digest: string, now: number): Promise<InvitationRecord | undefined>
  /** The invitations that are not over yet, in order of creation. */
  invitations(now: number): Promise<readonly InvitationRecord[]>
  /** False when there was none of that id. */
  uninvite(id: string): Promise<boolean>
}
