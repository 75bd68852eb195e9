import { isPromiseLike } from '../../core/async/maybe-promise.ts'
import { type ClientFamily, clientFamilies, closeCodesOf } from '../../core/contract/client-families.ts'
import type { Credential } from '../../core/contract/credential.ts'
import type {
  Acceptance,
  Declared,
  Frame,
  Handshake,
  HandshakeContext,
  HandshakeStep,
  Refusal,
} from '../../core/contract/handshake.ts'
import { assertKnownOptions, isLate, wrongReturn } from '../../core/options/check-options.ts'
import { flag, fn, oneOf, optional, text, withDefault } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import { closeOnly } from './close-only.ts'
import { bad, isObject, type JsonObject, missing, readJson } from './read-frame.ts'
import { upgateHandshake } from './upgate.ts'

/**
 * A parsed JSON message of unknown shape. Any property, or entry of a list, may be read; the handshake checks the value
 * afterwards. Reading a property of an absent value throws, and the handshake turns that into `bad_handshake`. The
 * application may use its own type, `jsonFrame<MyMessage>(...)`; the type does not check the messages that clients send.
 */
export interface JsonMessage {
  readonly [property: string]: JsonMessage
}

/** A refusal in the terms of the application's protocol. Absent fields default to those of the built-in protocol. */
export interface JsonRefusal {
  /** Sent as JSON before the close frame; `null`: nothing is sent. With `replay`, absent is the same as `null`. */
  readonly frame?: unknown
  /**
   * A valid close code (RFC 6455 section 7.4), or 3000 to 4999; any other is sent as 1008. Default: by
   * `closeCodes`.
   */
  readonly closeCode?: number
  /** A stable token of at most 123 UTF-8 bytes. */
  readonly closeReason?: string
}

/** Options of {@link jsonFrame}. */
export interface JsonFrameOptions<M = JsonMessage, State = unknown, Value = unknown> {
  /**
   * Where the credential is in the message, which may be any JSON: a token as a string, or a whole credential. Nothing
   * found (`undefined`, `null`, an empty string) is `auth_required`; throwing, or any other type, `bad_handshake`. So is
   * `undefined` for a message that is no object: a protocol of lists answers `null` where a credential is missing.
   */
  readonly credential: (
    message: M,
    context: HandshakeContext<State, Value>,
  ) => JsonMessage | Credential | string | null | undefined
  /**
   * Finds the client's statements about itself; they only narrow the rights of the credential's record.
   * Default: none.
   */
  readonly declared?: (message: M) => Declared | undefined
  /**
   * Message that the server sends first, as JSON, at once or by a promise; `undefined` sends none. Default: none. See
   * `open` of {@link Handshake} for the time that it has.
   */
  readonly open?: (context: HandshakeContext<State, Value>) => unknown
  /**
   * Messages that may come before the credential and have no meaning for it, such as heartbeats: they are dropped.
   * Throwing is `false`. Default: none.
   */
  readonly ignore?: (message: M) => boolean
  /**
   * Message sent on acceptance, as JSON; `undefined` sends none. `message` is the one with the credential: an answer may
   * repeat its id. Default: `auth_ok` of the built-in protocol; with `replay` none, because the application answers the
   * frame.
   */
  readonly accept?: (acceptance: Acceptance, message: M) => unknown
  /**
   * Frame and close code of a refusal. `message` is the one that is refused; `undefined` where none is, or where it is no
   * JSON. Default: `auth_error` of the built-in protocol, with `replay` no frame; and the codes of `closeCodes`.
   */
  readonly reject?: (refusal: Refusal, message: M | undefined) => JsonRefusal
  /**
   * Hands the frame to the application after acceptance, as its first message. The gate then sends no frame of its own
   * protocol: only what `open`, `accept` and `reject` return. Default: false.
   */
  readonly replay?: boolean
  /**
   * The client library that speaks this protocol: it gets the close codes that it understands. Default: the
   * standard codes.
   */
  readonly closeCodes?: ClientFamily
  /** Name in `explain`. Default: `json`. */
  readonly name?: string
}

const jsonFrameOptions = optionTable<JsonFrameOptions>()({
  credential: fn('a function that finds the credential in a message, as in (message) => message.token'),
  declared: optional(fn()),
  open: optional(fn()),
  ignore: optional(fn()),
  accept: optional(fn()),
  reject: optional(fn()),
  replay: flag(false),
  closeCodes: optional(oneOf(...clientFamilies)),
  name: withDefault(text(), 'json'),
})

type ReadJsonFrameOptions<M, S, V> = JsonFrameOptions<M, S, V> &
  Required<Pick<JsonFrameOptions<M, S, V>, 'replay' | 'name'>>

/**
 * A frame with JSON holds the credential somewhere: the first one, apart from those that `ignore` drops.
 *
 * @param options - `credential` is required
 * @returns the handshake, for a deferred rule
 * @throws TypeError for unknown or missing options.
 * @example
 * jsonFrame({ credential: (message) => message.params.auth.device_token })
 * @example
 * // JSON-RPC: the answer repeats the id of the request, whichever it is.
 * jsonFrame<{ id?: unknown; params?: { token?: string } }>({
 *   credential: (request) => request.params?.token,
 *   accept: (_, request) => ({ jsonrpc: '2.0', id: request.id, result: true }),
 *   reject: ({ detail }, request) => ({
 *     frame: { jsonrpc: '2.0', id: request?.id ?? null, error: { code: -32001, message: detail } },
 *   }),
 * })
 */
export function jsonFrame<M = JsonMessage, State = unknown, Value = unknown>(
  options: JsonFrameOptions<M, State, Value>,
): Handshake<State, Value> {
  return makeJsonFrame('jsonFrame', options)
}

/**
 * Makes the handshake for {@link jsonFrame}, and for the protocols that are built on it: `where` names them in
 * messages.
 */
export function makeJsonFrame<M, State = unknown, Value = unknown>(
  where: string,
  options: JsonFrameOptions<M, State, Value>,
): Handshake<State, Value> {
  const {
    credential: find,
    declared: describe,
    open,
    ignore,
    accept,
    reject,
    replay,
    closeCodes,
    name,
  } = jsonFrameOptions.read(where, options as unknown as JsonFrameOptions) as unknown as ReadJsonFrameOptions<
    M,
    State,
    Value
  >
  const own = upgateHandshake()
  const codes = closeCodes === undefined ? undefined : closeCodesOf(closeCodes)

  return {
    name,
    ...(open && {
      open(context: HandshakeContext<State, Value>) {
        const first = open(context)
        return isPromiseLike(first) ? Promise.resolve(first).then(openingOf) : openingOf(first)
      },
    }),
    receive(frame, context): HandshakeStep {
      const message = readJson(frame)
      if (message.rejection) return message.rejection
      if (ignore !== undefined && isIgnored(ignore, message.value as M, where)) return { step: 'ignore' }
      let found: unknown
      let described: Declared | undefined
      let declared: Declared | undefined
      try {
        found = find(message.value as M, context)
        described = describe?.(message.value as M)
        declared = checkDeclared(described)
      } catch {
        // The exception's text is left out: it may quote the message.
        return bad(isObject(message.value) ? strangeShape : noObject)
      }
      for (const [option, value] of Object.entries({ credential: found, declared: described })) {
        if (isLate(value))
          throw new TypeError(`${where}: \`${option}\` must return what it finds at once, not a promise.`)
      }
      if (isAbsent(found)) {
        const isProtocols = isObject(message.value) || found === null
        return isProtocols ? missing('The message carries no credential.') : bad(noObject)
      }
      const credential = checkCredential(found)
      if (credential === undefined) return bad('The credential in the message is of the wrong type.')
      return { step: 'credential', credential, declared, replay }
    },
    claims(frame) {
      const message = readJson(frame)
      if (message.rejection) return false
      try {
        const found: unknown = find(message.value as M, noContext as HandshakeContext<State, Value>)
        return isLate(found) || !isAbsent(found)
      } catch {
        return false
      }
    },
    accept(acceptance, context, frame) {
      if (accept === undefined) return replay ? [] : own.accept(acceptance, context)
      const answer = accept(acceptance, messageIn(frame) as M)
      return answer === undefined ? [] : [textOf('accept', answer)]
    },
    reject(refusal, context, frame) {
      const silent = closeOnly(refusal.code, codes)
      const standard = replay ? silent : { ...silent, frames: own.reject(refusal, context).frames }
      if (reject === undefined) return standard
      const answer = reject(refusal, messageIn(frame) as M | undefined)
      isLate(answer)
      assertKnownOptions('jsonFrame: what `reject` returns', answer, ['frame', 'closeCode', 'closeReason'])
      const { frame: said, closeCode = standard.closeCode, closeReason = standard.closeReason } = answer
      const frames = said === undefined ? standard.frames : said === null ? [] : [textOf('reject', said)]
      return { frames, closeCode, closeReason }
    },
    ...(codes && { ended: codes.ended }),
  }
}

/** A socket that HTTP let in was not greeted, and its first frame may be data: no context is made for the look at it. */
const noContext: HandshakeContext = {
  state: undefined,
  value: undefined,
  now: () => Date.now(),
  randomId: () => '',
  path: '',
  clientAddress: undefined,
  httpPrincipal: undefined,
  gone: false,
}

const strangeShape = 'The message does not have the shape that this protocol expects.'
const noObject = 'The message is valid JSON, but not an object, and no credential is found in it.'

function openingOf(first: unknown): readonly string[] {
  return first === undefined ? [] : [textOf('open', first)]
}

function isIgnored<M>(ignore: (message: M) => boolean, message: M, where: string): boolean {
  let ignored: unknown
  try {
    ignored = ignore(message)
  } catch {
    return false
  }
  if (typeof ignored === 'boolean') return ignored
  isLate(ignored)
  throw wrongReturn(`${where}: \`ignore\``, 'true or false', ignored)
}

/** The message that an answer is for, parsed again: kept parsed, it could take many times the memory of its text. */
function messageIn(frame: Frame | undefined): unknown {
  return frame && readJson(frame).value
}

function isAbsent(found: unknown): boolean {
  return found === undefined || found === null || found === ''
}

/** Serializes an application's answer as JSON; refuses a promise or a function, which would become `{}` or nothing. */
function textOf(option: 'open' | 'accept' | 'reject', answer: unknown): string {
  const text: string | undefined = isLate(answer) ? undefined : JSON.stringify(answer)
  if (text === undefined) {
    throw wrongReturn(`jsonFrame: \`${option}\``, 'what is sent as JSON', answer)
  }
  return text
}

function checkCredential(found: unknown): Credential | undefined {
  if (typeof found === 'string') return { type: 'token', source: 'frame', value: found }
  if (!isObject(found)) return undefined
  // Rebuilt field by field: an object from the client's message must not become a credential with other fields.
  const { type, value, hint, account, name } = found as Partial<Record<string, unknown>>
  if (type === 'token' && typeof value === 'string' && value !== '') {
    return { type, source: 'frame', value, hint: hints.find((known) => known === hint) }
  }
  if (type === 'password' && typeof value === 'string' && value !== '') {
    return { type, source: 'frame', value, account: typeof account === 'string' ? account : undefined }
  }
  if (type === 'opaque' && typeof name === 'string') return { type, source: 'frame', name, value }
  return undefined
}

const hints = ['device', 'api-key', 'shared', 'session', 'ticket'] as const

/** Throws where a declaration is of the wrong type: the caller makes that a `bad_handshake`. */
function checkDeclared(declared: Declared | undefined): Declared | undefined {
  if (declared === undefined || declared === null) return undefined
  const { role, scopes, id } = declared as JsonObject
  const isText = (value: unknown): boolean => value === undefined || typeof value === 'string'
  const areScopes = scopes === undefined || (Array.isArray(scopes) && scopes.every(isText))
  if (!isText(role) || !isText(id) || !areScopes) throw new TypeError('a declaration of the wrong type')
  return { role, scopes, id } as Declared
}
