import type { EndReason } from './client-families.ts'
import type { RefusalCode } from './codes.ts'
import type { Credential, IssuedCredential, MaybePromise, RefusalFacts } from './credential.ts'
import type { Principal } from './principal.ts'

/** One WebSocket data frame as received. Text is already decoded. */
export type Frame =
  | { readonly binary: false; readonly text: string }
  | { readonly binary: true; readonly bytes: Uint8Array }

/** One WebSocket data frame to send: a string goes out as a text frame, bytes as a binary one. */
export type OutgoingFrame = string | Uint8Array

/** A client's statements about itself. They only narrow the rights of its record. */
export interface Declared {
  /** The one role that the client wants to act in. */
  readonly role?: string | undefined
  /** The scopes that the client wants to use, exact names. */
  readonly scopes?: readonly string[] | undefined
  /** The id the client would like to have. Never honoured; a difference is reported back as dropped. */
  readonly id?: string | undefined
}

/** Declared and not granted: the protocol's answer says so. */
export interface Dropped {
  /** A role that the record does not hold. */
  readonly role?: string
  /** Scopes that the record does not hold. */
  readonly scopes?: readonly string[]
  /** An id that is not the record's. */
  readonly id?: string
}

/** A header line that a handshake adds to the 101. */
export type HandshakeHeader = readonly [name: string, value: string]

/**
 * The in-band part's view of one socket.
 *
 * `State` is the type of the handshake's own notes, `Value` the type of the value that the application gets.
 */
export interface HandshakeContext<State = unknown, Value = unknown> {
  /** The handshake's own notes about the socket. At first: the answer of its `state`, or `undefined` without one. */
  state: State
  /**
   * A value for the application: the fourth argument of `connection`, and of the listeners of `guard.on`. It counts as
   * it is at the moment of acceptance. At first: `undefined`.
   */
  value: Value | undefined
  /** Milliseconds since the epoch. */
  now(): number
  /** Cryptographically random bytes in base64url. */
  randomId(bytes: number): string
  /** The path of the upgrade, without the query. */
  readonly path: string
  /** Canonical address of the client; `undefined` where it is not known. */
  readonly clientAddress: string | undefined
  /** The principal HTTP proved, when there is one that did not satisfy the rule by itself. */
  readonly httpPrincipal: Principal | undefined
  /**
   * Whether the socket is gone: ask after each `await` of an asynchronous `open`, and release what was opened in vain.
   * Kept up to date until the socket is accepted, and beyond that for handshakes with `closed` or `refresh`.
   */
  readonly gone: boolean
}

/** The result of reading one frame. */
export type HandshakeStep =
  /**
   * A credential: the gate verifies it. `replay` hands this frame, and every one that was collected by `more`, to the
   * application after acceptance, or the given frames in their place.
   */
  | {
      readonly step: 'credential'
      readonly credential: Credential
      readonly declared?: Declared | undefined
      readonly replay?: boolean | readonly OutgoingFrame[] | undefined
    }
  /**
   * A part of the credential, which is not complete yet: the frame is collected for `replay`. A credential consists of
   * at most 64 frames and 64 KiB (`maxCollectedFrames`, `maxCollectedBytes`); the deadline does not move. `frames`, if
   * any, are sent at once.
   */
  | { readonly step: 'more'; readonly frames?: readonly OutgoingFrame[] | undefined }
  /** The client is owed something first, such as a nonce to sign. The frame is not replayed. */
  | { readonly step: 'send'; readonly frames: readonly OutgoingFrame[] }
  /** Allowed before authentication, and without meaning for it. The frame is not replayed. */
  | { readonly step: 'ignore' }
  /** Not this protocol. `detail` names the fault, never the content. */
  | { readonly step: 'reject'; readonly code: RefusalCode; readonly detail: string }

/** A refusal as a handshake renders it. */
export interface Refusal {
  /** Stable: programs compare it. */
  readonly code: RefusalCode
  /** One sentence for people. */
  readonly detail: string
  /** The next step for the client, as a sentence for people. */
  readonly action: string
  /** Seconds after which trying again makes sense. */
  readonly retryAfter?: number | undefined
  /** Facts the client needs to go on, such as the comparison code of a pairing. */
  readonly facts?: RefusalFacts | undefined
}

/** How a protocol says no: its error frames, then a close code and a reason of at most 123 UTF-8 bytes. */
export interface RefusalFrames {
  /** Sent first, in order; may be empty. */
  readonly frames: readonly OutgoingFrame[]
  /** 3000 to 4999, or a standard code (RFC 6455 section 7.4.1). */
  readonly closeCode: number
  /** A stable token, never a secret. */
  readonly closeReason: string
}

/** An acceptance as a handshake renders it. */
export interface Acceptance {
  /** The principal that the credential proved. */
  readonly principal: Principal
  /** Declared and not granted. */
  readonly dropped: Dropped | undefined
  /** A credential made on this occasion: the answer is the only place where the client can learn it. */
  readonly issued?: IssuedCredential | undefined
}

/**
 * How a protocol renews the credential of an accepted socket, without a new socket.
 *
 * The socket goes on during the verification and after a refusal. Another principal ends it.
 */
export interface HandshakeRefresh<State = unknown, Value = unknown> {
  /**
   * A part of every such frame: text for text frames, bytes for binary ones. Frames without it are passed on as they
   * are, unread.
   */
  readonly marker: string | Uint8Array
  /**
   * Reads such a frame, of at most 16 KiB: a credential, something to send first, a frame to ignore, or a rejection;
   * `undefined` for application data after all. A frame that is answered counts as an attempt (`maxRefreshes`).
   */
  receive(
    frame: Frame,
    context: HandshakeContext<State, Value>,
  ): Exclude<HandshakeStep, { step: 'more' }> | undefined
  /** Returns the frames that say that the newer credential counts. `frame` is the one that carried it. */
  accept(
    acceptance: Acceptance,
    frame: Frame,
    context: HandshakeContext<State, Value>,
  ): readonly OutgoingFrame[]
  /** The old credential counts as long as it did before. `frame` is the one that is refused. */
  reject(refusal: Refusal, frame: Frame, context: HandshakeContext<State, Value>): readonly OutgoingFrame[]
  /** The frames for a minute before the credential expires, or for at once where it is valid for less. */
  expiring?(expiresAt: number, now: number, context: HandshakeContext<State, Value>): readonly OutgoingFrame[]
}

/**
 * How a protocol asks for credentials, which frame carries them, how it says yes and no.
 *
 * It yields a credential, never a principal: the gate verifies with the same schemes as for HTTP.
 * Implementations are stateless and shared; what they must remember of a socket lives in `context.state`. An exception
 * refuses the socket that it is about and is logged; other sockets do not notice.
 *
 * `docs/guide-handshakes.md` builds one step by step.
 *
 * @example
 * const firstLine: Handshake = {
 *   name: 'first-line',
 *   receive(frame) {
 *     if (frame.binary) return { step: 'reject', code: 'bad_handshake', detail: 'The first frame must be text.' }
 *     return { step: 'credential', credential: { type: 'token', source: 'frame', value: frame.text } }
 *   },
 *   accept: () => ['welcome'],
 *   reject: ({ code }) => ({ frames: [code], closeCode: closeCodeFor(code), closeReason: code }),
 * }
 */
export interface Handshake<State = unknown, Value = unknown> {
  /** Name in `explain` and in the messages of errors. */
  readonly name: string
  /** Makes the notes about a new socket, `context.state`. Called at most once for a socket. Default: `undefined`. */
  state?(): State
  /**
   * Header lines for the 101, of every socket on the path, before anything is known about the client.
   *
   * Refused are `Set-Cookie` (the socket is not accepted yet), `Sec-WebSocket-*`, hop-by-hop lines, lines about a body,
   * and what is no header line; a wrong line, or an exception, refuses the upgrade with 503.
   */
  headers?(context: HandshakeContext<State, Value>): readonly HandshakeHeader[]
  /**
   * Frames the server sends first, before the client says anything: at once, or by a promise.
   *
   * While the promise is pending, the deadline of the quarantine runs, the socket keeps its slot, and its bytes and
   * frames are counted; up to 16 messages (`maxQueuedMessages`) wait for `receive`. A promise that rejects, or is late,
   * refuses the socket with `unavailable`. After the socket is gone, its answer has no effect.
   */
  open?(context: HandshakeContext<State, Value>): MaybePromise<readonly OutgoingFrame[]>
  /** Reads one frame: a credential or a part of it, something to send first, a frame without meaning, or a fault. */
  receive(frame: Frame, context: HandshakeContext<State, Value>): HandshakeStep
  /**
   * Whether a frame is meant to carry a credential of this protocol, also where that is missing or does not count.
   *
   * Asked for the first frame of a socket that HTTP let in at the 101. Such a frame is verified like any other, has to
   * prove the same principal, and reaches the application only by `replay`. Absent: all frames of such a socket are data.
   */
  claims?(frame: Frame): boolean
  /**
   * Returns the frames that say yes; may be empty, where the application answers. `frame` is the one that the answer
   * is for: the last one of the credential.
   */
  accept(
    acceptance: Acceptance,
    context: HandshakeContext<State, Value>,
    frame?: Frame,
  ): readonly OutgoingFrame[]
  /**
   * Returns the frames, the close code and the reason that say no. `frame` is the one that is refused; `undefined` where
   * none is, as for a deadline or a limit.
   */
  reject(refusal: Refusal, context: HandshakeContext<State, Value>, frame?: Frame): RefusalFrames
  /**
   * The close code of an accepted socket that the gate ends: 1001, 1008, 1012, 1013, or 3000 to 4999. `undefined`, or
   * absent: the code of the quarantine. The close reason is the same in every protocol. `closeCodesOf` of
   * `upgate/protocol` knows the codes of some client libraries.
   */
  ended?(reason: EndReason): number | undefined
  /**
   * Called once for each socket that any other method got the context of, when that socket is gone, accepted or not,
   * for every reason: the place to release what `open` or `receive` acquired. An exception, or a rejected promise, is
   * logged and has no other effect.
   */
  closed?(context: HandshakeContext<State, Value>): MaybePromise<void>
  /** Lets accepted sockets renew their credential in band. Absent: such frames are application data. */
  readonly refresh?: HandshakeRefresh<State, Value>
}
