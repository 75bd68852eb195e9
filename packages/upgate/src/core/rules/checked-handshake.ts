import { isPromiseLike } from '../async/maybe-promise.ts'
import type { MaybePromise } from '../contract/credential.ts'
import type {
  Handshake,
  HandshakeRefresh,
  HandshakeStep,
  OutgoingFrame,
  RefusalFrames,
} from '../contract/handshake.ts'
import { assertKnownOptions, isLate, wrongReturn } from '../options/check-options.ts'
import { headerLines } from './handshake-headers.ts'

const stepKeys: Readonly<Record<HandshakeStep['step'], readonly string[]>> = {
  credential: ['step', 'credential', 'declared', 'replay'],
  more: ['step', 'frames'],
  send: ['step', 'frames'],
  ignore: ['step'],
  reject: ['step', 'code', 'detail'],
}

type StepKeys = Readonly<Partial<Record<HandshakeStep['step'], readonly string[]>>>

const { more: _, ...refreshSteps } = stepKeys

/**
 * Puts a check behind a handshake: a malformed answer throws at once, with a `TypeError` that names it.
 *
 * Without the check, a misspelt key, or a promise in place of frames, would leave a socket waiting for a frame that
 * never comes, or close it without a message.
 */
export function checkedHandshake(handshake: Handshake): Handshake {
  const where = `The handshake ${JSON.stringify(handshake.name)}`
  const { state, headers, open, claims, ended, closed, refresh } = handshake
  // Every method by its name, so that one that is added to the contract cannot be forgotten here.
  const checked: { readonly [Part in keyof Required<Handshake>]: Handshake[Part] | undefined } = {
    name: handshake.name,
    state: state && (() => notLate(`${where}: \`state\``, state.call(handshake))),
    headers: headers && ((context) => headerLines(`${where}: \`headers\``, headers.call(handshake, context))),
    open: open && ((context) => soonFrames(`${where}: \`open\``, open.call(handshake, context))),
    receive: (frame, context) => step(`${where}: \`receive\``, handshake.receive(frame, context)),
    claims: claims && ((frame) => yesOrNo(`${where}: \`claims\``, claims.call(handshake, frame))),
    accept: (acceptance, context, frame) =>
      frames(`${where}: \`accept\``, handshake.accept(acceptance, context, frame)),
    reject: (refusal, context, frame) =>
      refusalFrames(`${where}: \`reject\``, handshake.reject(refusal, context, frame)),
    ended: ended && ((reason) => ended.call(handshake, reason)),
    closed: closed && ((context) => closed.call(handshake, context)),
    refresh: refresh && checkedRefresh(`${where}: \`refresh.`, refresh),
  }
  return Object.fromEntries(Object.entries(checked).filter(([, part]) => part !== undefined)) as never
}

/** A promise would be neither: a frame that was to be verified would pass as data. */
function yesOrNo(where: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  isLate(value)
  throw wrongReturn(where, 'true or false', value)
}

function checkedRefresh(where: string, refresh: HandshakeRefresh): HandshakeRefresh {
  return {
    marker: refresh.marker,
    receive(frame, context) {
      const answer = refresh.receive(frame, context)
      return answer === undefined ? undefined : step(`${where}receive\``, answer, refreshSteps)
    },
    accept: (acceptance, frame, context) =>
      frames(`${where}accept\``, refresh.accept(acceptance, frame, context)),
    reject: (refusal, frame, context) => frames(`${where}reject\``, refresh.reject(refusal, frame, context)),
    ...(refresh.expiring !== undefined && {
      expiring: (expiresAt, now, context) =>
        frames(`${where}expiring\``, refresh.expiring?.(expiresAt, now, context)),
    }),
  }
}

/** The notes of a socket are needed at once: a promise in their place would be shared as if it were the notes. */
function notLate(where: string, value: unknown): unknown {
  if (isLate(value)) throw wrongReturn(where, 'the state at once', value)
  return value
}

/** Of the methods that send frames, `open` alone may answer with a promise. */
function soonFrames(where: string, value: unknown): MaybePromise<readonly OutgoingFrame[]> {
  if (!isPromiseLike(value)) return frames(where, value)
  return Promise.resolve(value).then((sent) => frames(where, sent))
}

function frames(where: string, value: unknown): readonly OutgoingFrame[] {
  if (isLate(value) || !Array.isArray(value)) throw wrongReturn(where, 'a list of frames', value)
  const strange = value.findIndex((frame) => typeof frame !== 'string' && !isBytes(frame))
  if (strange !== -1) {
    const expected = 'frames as strings (JSON.stringify() them) or bytes (Uint8Array)'
    throw wrongReturn(where, expected, value[strange])
  }
  return value as readonly OutgoingFrame[]
}

/** By its name, so that the bytes of another realm, as in some test runners, count as well. */
function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]'
}

function step<S extends HandshakeStep>(where: string, value: S, known: StepKeys = stepKeys): S {
  if (isLate(value)) throw wrongReturn(where, 'a step at once', value)
  const keys = Object.hasOwn(known, String(value?.step)) ? known[value.step] : undefined
  if (keys === undefined) {
    throw new TypeError(
      `${where} must return a step: { step: ${Object.keys(known)
        .map((name) => `'${name}'`)
        .join(' | ')}, ... }.`,
    )
  }
  assertKnownOptions(`${where} returned a step`, value, keys)
  if (value.step === 'send' || (value.step === 'more' && value.frames !== undefined)) {
    frames(where, value.frames)
  } else if (value.step === 'credential' && value.replay !== undefined && typeof value.replay !== 'boolean') {
    frames(`${where}: \`replay\``, value.replay)
  }
  return value
}

function refusalFrames(where: string, value: RefusalFrames): RefusalFrames {
  if (isLate(value) || typeof value !== 'object' || value === null) {
    throw wrongReturn(where, '{ frames, closeCode, closeReason }', value)
  }
  assertKnownOptions(`${where} returned`, value, ['frames', 'closeCode', 'closeReason'])
  frames(`${where}: \`frames\``, value.frames)
  return value
}
