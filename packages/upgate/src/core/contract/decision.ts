import type { RefusalCode } from './codes.ts'
import type { Moment } from './connections.ts'
import type { Credential, IssuedCredential, VerifyContext } from './credential.ts'
import type { Declared, Dropped, Handshake, Refusal } from './handshake.ts'
import type { Principal } from './principal.ts'
import type { DecidedRule } from './rules.ts'

/** Header lines to add to an answer, in order. */
export type HeaderList = readonly (readonly [name: string, value: string])[]

/** Let it through. */
export interface Allow<P extends Principal = Principal> {
  readonly outcome: 'allow'
  /** The principal; `undefined` on public paths and for anonymous callers of optional ones. */
  readonly principal: P | undefined
  /** The identity that passed the edge, kept apart; never a source of scopes or roles. */
  readonly edgePrincipal: Principal | undefined
  readonly rule: DecidedRule
  /** To be added to whatever the application answers: CORS, a removed cookie. */
  readonly headers: HeaderList | undefined
  /** The moment before the first verification: `connections.register` takes it. */
  readonly asOf: Moment
}

/** Let a WebSocket through, unauthenticated, into the quarantine: its first frames prove its principal. */
export interface Defer<P extends Principal = Principal> {
  readonly outcome: 'defer'
  readonly rule: DecidedRule
  readonly handshake: Handshake
  /** The principal that HTTP proved, where that did not satisfy the rule by itself. */
  readonly httpPrincipal: P | undefined
  readonly edgePrincipal: Principal | undefined
  /** Why HTTP's credential, if there was one, did not count. */
  readonly httpFailure: RefusalCode | undefined
  /**
   * The context that `resume` hands to the schemes. It replaces the request, which would cost memory while a
   * socket waits.
   */
  readonly circumstances: VerifyContext
  readonly headers: HeaderList | undefined
}

interface RefusalBase extends Refusal {
  /** HTTP status. */
  readonly status: number
  readonly rule: DecidedRule | undefined
  /** Extra header lines this refusal carries. */
  readonly headers: HeaderList | undefined
  /** The refused principal, where it is known (403). */
  readonly principal: Principal | undefined
  /** The scheme that could not answer (503). For events and `explain`: it is not rendered. */
  readonly scheme?: string | undefined
  /** One sentence for the operator. For events and `explain`: it is not rendered. */
  readonly note?: string | undefined
  /** The fault that the scheme found in the credential. For events and `explain`: it is not rendered. */
  readonly reason?: string | undefined
  /** Number of further credentials in the same attempt that did not count. It is not rendered. */
  readonly alsoFailed?: number | undefined
  /** Whether the times of the credential say that two clocks differ. For the log: it is not rendered. */
  readonly clocksDiffer?: boolean | undefined
}

/** No credential proved a principal: 401, or the login page for a browser's navigation. */
export interface Challenge extends RefusalBase {
  readonly outcome: 'challenge'
}
/** The principal is known and may not enter: 403. */
export interface Forbid extends RefusalBase {
  readonly outcome: 'forbid'
}
/** Too many: 429 with Retry-After. */
export interface Throttle extends RefusalBase {
  readonly outcome: 'throttle'
}
/** The store, JWKS or hash pool cannot answer: 503, never 401. */
export interface Unavailable extends RefusalBase {
  readonly outcome: 'unavailable'
}
/** Not a request that can be decided: 400, 404, 405, 426. */
export interface Invalid extends RefusalBase {
  readonly outcome: 'invalid'
}
/** A CORS preflight, answered by the gate. */
export interface Preflight {
  readonly outcome: 'preflight'
  readonly rule: DecidedRule
  readonly headers: HeaderList
}

/** A public document that the rule holds: the gate answers with it, and the application is not asked. */
export interface DocumentAnswer {
  readonly outcome: 'document'
  readonly rule: DecidedRule
  readonly headers: HeaderList
  /** JSON text. */
  readonly body: string
}

/** An answer of the gate itself that is no refusal. */
export type Answered = Preflight | DocumentAnswer

/** A refusal of any sort. */
export type Refused = Challenge | Forbid | Throttle | Unavailable | Invalid

/**
 * The engine's answer to a request, as a value. A `switch` over `outcome` is exhaustive.
 *
 * @example
 * const decision = await gate.decide(requestOf(request))
 * switch (decision.outcome) {
 *   case 'allow':
 *     return serve(decision.principal)
 *   case 'defer':
 *     return response.writeHead(426).end()
 *   default:
 *     return respond(gate, request, response, decision)
 * }
 */
export type Decision<P extends Principal = Principal> = Allow<P> | Defer<P> | Answered | Refused

/**
 * One sort of decision, by its outcome.
 *
 * @example
 * function onAllowed(decision: DecisionOf<'allow'>): void {}
 */
export type DecisionOf<O extends Decision['outcome'], P extends Principal = Principal> = Extract<
  Decision<P>,
  { readonly outcome: O }
>

/** The credential that a handshake hands to `gate.resume`. */
export interface InBand {
  /** The credential that a frame carried, unverified. */
  readonly credential: Credential
  /** The client's statements about itself; they only narrow the rights of the record. */
  readonly declared?: Declared | undefined
}

/** The answer to an in-band credential. */
export type Resumption<P extends Principal = Principal> =
  | {
      readonly outcome: 'allow'
      readonly principal: P
      readonly edgePrincipal: Principal | undefined
      /** The moment before the verification of the credential: `connections.register` takes it. */
      readonly asOf: Moment
      /** Declared by the client and not granted. */
      readonly dropped: Dropped | undefined
      /** A credential made on this occasion, to be handed on in the protocol's answer. */
      readonly issued?: IssuedCredential | undefined
      /** Number of further credentials in the same attempt that did not count. */
      readonly alsoFailed?: number | undefined
    }
  | Challenge
  | Forbid
  | Throttle
  | Unavailable
  | Invalid
