import type { Revocation } from '../ports/revocations.ts'
import type { RefusalCode } from './codes.ts'
import type { Principal } from './principal.ts'

/** The request behind an event. Query strings are left out. */
export interface EventPlace {
  /** HTTP method, `GET` for upgrades. */
  readonly method: string
  /** Path without query, at most 256 characters. */
  readonly path: string
  /** Canonical; `undefined` where it is not known. */
  readonly clientAddress: string | undefined
  /**
   * Address of the other end of the TCP connection, as Node has it. If it is that of the client, the client came directly;
   * otherwise it is a proxy's, or, without `clientAddress`, may be one.
   */
  readonly peerAddress?: string | undefined
}

/**
 * Something worth an audit line. Never holds a secret. `at` is milliseconds since the epoch.
 *
 * @example
 * const stop = gate.events.subscribe((event) => {
 *   if (event.type === 'refused') console.warn(event.code, event.place.path, event.detail)
 * })
 */
export type AuditEvent = { readonly at: number } & (
  | {
      /** A request was let in. */
      readonly type: 'allowed'
      /** The request. */
      readonly place: EventPlace
      /** Absent on public paths, and for anonymous requests of optional ones. */
      readonly principal: Principal | undefined
      /** Label of the rule that decided. */
      readonly rule: string
    }
  | {
      readonly type: 'deferred'
      readonly place: EventPlace
      readonly rule: string
      /** Why a cookie did not count, where the reason may be a proxy that removes Origin. */
      readonly reason?: string | undefined
    }
  | {
      /** A request was refused over HTTP. */
      readonly type: 'refused'
      /** The request. */
      readonly place: EventPlace
      /** Stable: one of `refusalCodes`. */
      readonly code: RefusalCode
      /** HTTP status. */
      readonly status: number
      /** The sentence that the client got. */
      readonly detail: string
      /** The refused principal, where it is known (403). */
      readonly principal: Principal | undefined
      /** Label of the rule; absent where none was reached. */
      readonly rule: string | undefined
      /** The scheme that could not answer (503). */
      readonly scheme?: string | undefined
      /** A sentence for the operator alone; the client does not get it. */
      readonly note?: string | undefined
      /** The fault that the scheme found, and visible effects of a proxy or a clock on the request. Quotes headers. */
      readonly reason?: string | undefined
    }
  | {
      /** A socket was handed to the application. */
      readonly type: 'socket_accepted'
      /** The upgrade. */
      readonly place: EventPlace
      /** The principal of the socket. */
      readonly principal: Principal
      /** Names the socket in later events, too. */
      readonly connectionId: string
    }
  | {
      /** A socket was refused in band, or its deadline passed. */
      readonly type: 'socket_refused'
      /** The upgrade. */
      readonly place: EventPlace
      /** Stable: one of `refusalCodes`. */
      readonly code: RefusalCode
      /** The sentence that the client got. */
      readonly detail: string
      /** Close code that the client got (RFC 6455 section 7.4). */
      readonly closeCode: number
      /** The scheme that could not answer. */
      readonly scheme?: string | undefined
      /** A sentence for the operator alone; the client does not get it. */
      readonly note?: string | undefined
      /** The fault that the scheme found, and visible effects of a proxy or a clock on the request. Quotes headers. */
      readonly reason?: string | undefined
    }
  /** A newer credential of the same principal counts on this socket from now on. */
  | {
      readonly type: 'socket_refreshed'
      readonly principal: Principal
      readonly connectionId: string
    }
  /** The renewal was refused. The socket goes on with its old credential, unless `socket_closed` follows. */
  | {
      readonly type: 'socket_refresh_refused'
      readonly code: RefusalCode
      readonly detail: string
      /** The principal of the socket. */
      readonly principal: Principal
      readonly connectionId: string
      /** The scheme that could not answer. */
      readonly scheme?: string | undefined
      /** A sentence for the operator alone; the client does not get it. */
      readonly note?: string | undefined
      /** The fault that the scheme found, and visible effects of a proxy or a clock on the request. Quotes headers. */
      readonly reason?: string | undefined
    }
  | {
      /** An accepted socket is closed. */
      readonly type: 'socket_closed'
      /** The principal of the socket. */
      readonly principal: Principal
      /** As in `socket_accepted`. */
      readonly connectionId: string
      /** Why the gate closed it; absent when the peer or the application did. */
      readonly reason: string | undefined
    }
  | { readonly type: 'revoked'; readonly revocation: Revocation; readonly closed: number }
  | {
      readonly type: 'pairing'
      /**
       * `invited`, `window_opened` and `uninvited` concern codes and windows, `renewed` a device that got a new token
       * for its rotated one, `key_bound` a device whose token bound a key at its first use, the others a device's request.
       */
      readonly step:
        | 'requested'
        | 'approved'
        | 'rejected'
        | 'expired'
        | 'collected'
        | 'renewed'
        | 'key_bound'
        | 'full'
        | 'invited'
        | 'window_opened'
        | 'uninvited'
      /** Id of the request, code or window; absent where none was kept. */
      readonly subjectId: string | undefined
      /** Set from the approval on. */
      readonly deviceId: string | undefined
      /** The acting principal; absent where the device acted, or time did. */
      readonly by: string | undefined
      readonly role: string
      readonly scopes: readonly string[]
      readonly clientAddress: string | undefined
      /** Address of the socket's peer, which may be a proxy's. */
      readonly peerAddress?: string | undefined
      /** Name of the device: its own word until the approval gives it one. */
      readonly name?: string | undefined
      /** The six characters that the device shows; absent where no request was kept. */
      readonly comparisonCode?: string | undefined
      /** Hex SHA-256 of the device's public key, where it proves itself by one. */
      readonly keyId?: string | undefined
    }
)

/** The hub of audit events. A listener that throws is reported to the logger, never to the caller. */
export interface AuditEvents {
  /**
   * Calls the listener for every event. Returns its removal.
   *
   * @param listener - called synchronously; an exception is logged and has no other effect
   * @example
   * const stop = gate.events.subscribe((event) => audit.write(event))
   */
  subscribe(listener: (event: AuditEvent) => void): () => void
  /**
   * Hands an event to every listener.
   *
   * @param event - one of the types of {@link AuditEvent}
   */
  emit(event: AuditEvent): void
  /** False without listeners: lets the hot path skip building events. */
  readonly active: boolean
}
