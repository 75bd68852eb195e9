import type { AccountResult } from './types.ts'

/** Reason for which a password or an address was refused. */
export type InputProblem = Omit<Extract<AccountResult, { outcome: 'refused' }>, 'outcome'>

const minCharacters = 12
const maxBytes = 1024

/**
 * Normalises an email address: NFKC, trimmed, lower case; `undefined` if the form is wrong.
 *
 * Only the form is checked: some text, one `@`, some text; at most 254 characters, no spaces or control
 * characters.
 */
export function normaliseEmail(email: string): string | undefined {
  if (typeof email !== 'string' || email.length > 1000) return undefined
  const normalised = email.normalize('NFKC').trim().toLowerCase()
  if (normalised.length > 254 || !/^[^\s\p{C}@]+@[^\s\p{C}@]+$/u.test(normalised)) return undefined
  return normalised
}

/** Normalises a password (NFKC, NIST SP 800-63B); `undefined` if it cannot be one. */
export function normalisePassword(password: string): string | undefined {
  // Normalising costs time, so refuse a text that is too long before it.
  if (typeof password !== 'string' || password.length > 4 * maxBytes) return undefined
  return password.normalize('NFKC')
}

/** Checks a new password; `undefined` if it is acceptable. */
export function passwordProblem(password: string | undefined): InputProblem | undefined {
  if (password === undefined || Buffer.byteLength(password) > maxBytes) {
    return { code: 'password_too_long', reason: `A password has at most ${maxBytes} bytes.` }
  }
  if ([...password].length < minCharacters) {
    return { code: 'password_too_short', reason: `A password has at least ${minCharacters} characters.` }
  }
  return undefined
}
