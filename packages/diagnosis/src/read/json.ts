/** A JSON object whose content has not been checked. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Parses an object; `undefined` for anything else, and for texts of more than 64 Ki characters. Never throws. */
export function readObject(text: string): JsonObject | undefined {
  if (text.length > 65_536) return undefined
  try {
    return objectOf(JSON.parse(text))
  } catch {
    return undefined
  }
}

export function objectOf(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined
}

/** An own property: `__proto__` and `constructor` of a hostile object are not read. */
export function own(object: JsonObject | undefined, name: string): unknown {
  return object !== undefined && Object.hasOwn(object, name) ? object[name] : undefined
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

export function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The payload of a JSON Web Token, not verified: good for a hint and for nothing else. */
export function readTokenPayload(token: string | undefined): JsonObject | undefined {
  const payload = token?.slice(0, 16_384).split('.')[1]
  if (payload === undefined) return undefined
  let bits = 0
  let value = 0
  let text = ''
  for (const character of payload) {
    const digit = alphabet.indexOf(character)
    if (digit < 0) return undefined
    value = ((value << 6) | digit) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    text += String.fromCharCode((value >> bits) & 0xff)
  }
  // Names and booleans are ASCII; other characters stay garbled, and nothing reads them.
  return readObject(text)
}
