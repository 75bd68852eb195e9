import type { AccountResult } from '../types.ts'

/** Why a password or address was not taken. */
export type InputProblem = Omit<Extract<AccountResult, { outcome: 'refused' }>, 'outcome'>

const minCharacters = 12
const maxBytes = 1024

/**
 * One spelling for an email address: NFKC, without white space around it, in lower case; `undefined` if it is none.
 *
 * Only the form is checked: something, one `@`, something; at most 254 characters, no space or control characters.
 */
export function normaliseEmail(email: string): string | undefined {
  if (typeof email !== 'string' || email.length > 1000) return undefined
  const normalised = email.normalize('NFKC').trim().toLowerCase()
  if (normalised.length > 254 || !/^[^\s\p{C}@]+@[^\s\p{C}@]+$/u.test(normalised)) return undefined
  return normalised
}

/** One spelling for a password (NFKC, NIST SP 800-63B); `undefined` where it cannot be one. */
export function normalisePassword(password: string): string | undefined {
  // Normalising is work, too: what is too long before is not worth it.
  if (typeof password !== 'string' || password.length > 4 * maxBytes) return undefined
  return password.normalize('NFKC')
}

/** What is wrong with a new password, or nothing. */
export function passwordProblem(password: string | undefined): InputProblem | undefined {
  if (password === undefined || Buffer.byteLength(password) > maxBytes) {
    return { code: 'password_too_long', reason: `A password has at most ${maxBytes} bytes.` }
  }
  if ([...password].length < minCharacters) {
    return { code: 'password_too_short', reason: `A password has at least ${minCharacters} characters.` }
  }
  return undefined
}
