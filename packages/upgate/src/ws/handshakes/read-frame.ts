import type { Frame, HandshakeStep } from '../../core/contract/handshake.ts'

/** A refusal of what a frame is or holds. */
export type Rejection = Extract<HandshakeStep, { step: 'reject' }>

/** A `bad_handshake`; `detail` names the defect, never the content. */
export function bad(detail: string): Rejection {
  return { step: 'reject', code: 'bad_handshake', detail }
}

/** A refusal for want of a credential: absent is not rejected. */
export function missing(detail: string): Rejection {
  return { step: 'reject', code: 'auth_required', detail }
}

/**
 * The result of reading a frame: a value, or the refusal. The field `rejection` is ours, so no content of a
 * frame can imitate it.
 */
export type Read<T> =
  | { readonly value: T; readonly rejection?: undefined }
  | { readonly value?: undefined; readonly rejection: Rejection }

/** An object out of JSON. Read own properties only: with {@link own}. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Parses a text frame that must hold JSON. */
export function readJson(frame: Frame): Read<unknown> {
  if (frame.binary) return { rejection: bad('The message is a binary frame; a text frame was expected.') }
  try {
    return { value: JSON.parse(frame.text) as unknown }
  } catch {
    return { rejection: bad('The message is not valid JSON.') }
  }
}

/** Parses a text frame that must hold a JSON object. */
export function readObject(frame: Frame): Read<JsonObject> {
  const read = readJson(frame)
  if (read.rejection) return read
  if (!isObject(read.value)) return { rejection: bad('The message is valid JSON, but not an object.') }
  return { value: read.value }
}

/** Whether a JSON value is an object, not `null` and not an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An own property: `{}` has neither `constructor` nor anything a polluted prototype would lend it. */
export function own(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** An optional string: absent and `null` are the same, anything else is refused by its name. */
export function optionalString(object: JsonObject, name: string): Read<string | undefined> {
  const value = own(object, name)
  if (value === undefined || value === null) return { value: undefined } as Read<string | undefined>
  if (typeof value !== 'string') return { rejection: bad(`\`${name}\` must be a string.`) }
  return { value }
}

/** An optional list of strings, at most 64 of at most 128 characters. */
export function optionalStrings(object: JsonObject, name: string): Read<readonly string[] | undefined> {
  const value = own(object, name)
  if (value === undefined || value === null)
    return { value: undefined } as Read<readonly string[] | undefined>
  if (
    !Array.isArray(value) ||
    value.length > 64 ||
    !value.every((item) => typeof item === 'string' && item.length <= 128)
  ) {
    return { rejection: bad(`\`${name}\` must be a list of at most 64 short strings.`) }
  }
  return { value: value as string[] }
}
