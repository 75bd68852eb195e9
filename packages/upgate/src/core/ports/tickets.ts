import type { Principal } from '../contract/principal.ts'

/** A ticket for one WebSocket. Times are milliseconds since the epoch. */
export interface TicketRecord {
  /** Public: fit for logs. */
  readonly id: string
  /** SHA-256 of the token, base64url. */
  readonly digest: string
  /** The principal that it stands for, as of its creation. `attributes` are not kept. */
  readonly principal: Omit<Principal, 'attributes'>
  /** Path of the upgrade it is good for. */
  readonly path: string
  /** `Origin` of the page it is good for; absent = no page. */
  readonly origin?: string | undefined
  /** Number of the newest revocation when it was made: later ones end it. */
  readonly sequence: number
  /** Time of its creation. */
  readonly createdAt: number
  /** Time from which it no longer counts. */
  readonly expiresAt: number
}

/** Tickets. Every operation is atomic. */
export interface TicketStore {
  /**
   * Adds a ticket, and removes the oldest ones of the same principal (the same `kind` and `id`) beyond `atMost`. False if
   * the id was taken.
   *
   * @param record - the new ticket
   * @param atMost - tickets of the principal, the new one included
   */
  add(record: TicketRecord, atMost: number): Promise<boolean>
  /** One ticket by its id, without consuming it. */
  get(id: string): Promise<TicketRecord | undefined>
  /**
   * Consumes: of concurrent callers one gets the record, the others `undefined`.
   *
   * @param id - of the ticket
   */
  take(id: string): Promise<TicketRecord | undefined>
  /**
   * Forgets tickets whose `expiresAt` is this time or earlier. Answers how many; as many as `atMost` = there may be more.
   *
   * @param expiredBy - milliseconds since the epoch
   * @param atMost - tickets to forget: other operations must not wait for a long one
   */
  purge(expiredBy: number, atMost: number): Promise<number>
}
