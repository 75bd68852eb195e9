import { createHash } from 'node:crypto'

/** Without 0 and O, 1, I and L, and U, which is read as V: 30 characters. */
const alphabet = '23456789ABCDEFGHJKMNPQRSTVWXYZ'
const comparisonLength = 6
const bootstrapLength = 12
/** Ids of requests, apart from those of earlier releases, which had no code in front. */
const withCode = new RegExp(`^[${alphabet}]{${comparisonLength}}-(.+)$`)
const bootstrapForm = new RegExp(`^[${alphabet}]{${bootstrapLength}}$`)

function spell(bytes: Uint8Array, length: number): string {
  let rest = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  let text = ''
  for (let i = 0; i < length; i++) {
    text += alphabet[Number(rest % 30n)] as string
    rest /= 30n
  }
  return text
}

/**
 * Derives the code that both sides of a pairing show. It is bound to the request and to the device that asks.
 *
 * The request's id is random and chosen by the server, so an attacker cannot search for a key with the same
 * code as another device.
 */
export function comparisonCode(requestId: string, subject: string): string {
  const random = withCode.exec(requestId)?.[1] ?? requestId
  const digest = createHash('sha256').update(`${random}|${subject}`).digest()
  return spell(digest.subarray(0, 16), comparisonLength)
}

/**
 * Creates the id of a request. It begins with the comparison code, because some clients show their user the id alone.
 *
 * @param random - the part that nothing can predict
 */
export function createRequestId(random: string, subject: string): string {
  return `${comparisonCode(random, subject)}-${random}`
}

/**
 * Creates a bootstrap code, `XXXX-XXXX-XXXX`: 58 bits, too many to guess over the wire or from its hash in
 * ten minutes.
 */
export function createBootstrapCode(randomBytes: (size: number) => Uint8Array): string {
  return (spell(randomBytes(24), bootstrapLength).match(/.{4}/g) ?? []).join('-')
}

/**
 * Normalises a typed code: case, blanks and hyphens do not matter. `undefined` if the text cannot be a code.
 */
export function normaliseBootstrapCode(text: string): string | undefined {
  if (text.length > 40) return undefined
  const plain = text.replace(/[\s-]/g, '').toUpperCase()
  return bootstrapForm.test(plain) ? plain : undefined
}
