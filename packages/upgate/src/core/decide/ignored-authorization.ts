import type { Scheme } from '../contract/credential.ts'
import type { AuthRequest } from '../contract/request.ts'
import { nameOf, wrongOption } from '../options/check-options.ts'
import { hideHeaders } from '../request/hidden-headers.ts'

/** Hides `Authorization` where its scheme word is one that a proxy's own login uses. */
export interface IgnoredAuthorization {
  /** The word of the request's `Authorization` that is ignored, or `undefined` where nothing is. */
  wordOf(request: AuthRequest): string | undefined
  /** The request without `Authorization`. */
  hide(request: AuthRequest): AuthRequest
}

/**
 * Compiles `ignoreAuthorization`.
 *
 * @returns `undefined` where nothing is ignored
 * @throws TypeError for a word that no header can have, that a scheme of the gate uses, or `Bearer`
 */
export function compileIgnoredAuthorization(
  words: readonly string[] | undefined,
  schemes: readonly Scheme[] | readonly Scheme<never>[],
): IgnoredAuthorization | undefined {
  if (words === undefined) return undefined
  if (!Array.isArray(words) || words.length === 0) {
    throw wrongOption(
      'createGate',
      'ignoreAuthorization',
      "a list of the scheme words of a login in front of this server, such as ['Basic']",
      words,
    )
  }
  const ignored = new Set(words.map((word: unknown) => checkWord(word, schemes)))
  return {
    wordOf(request) {
      const word = firstWord(request.headers.authorization)
      return word !== undefined && ignored.has(word.toLowerCase()) ? word : undefined
    },
    hide: (request) => hideHeaders(request, (name) => name === 'authorization'),
  }
}

function checkWord(word: unknown, schemes: readonly Scheme[] | readonly Scheme<never>[]): string {
  // A longer one may be a credential that was put here by mistake: it is not quoted.
  if (typeof word !== 'string' || !/^[A-Za-z][A-Za-z0-9-]{0,31}$/.test(word)) {
    const shown = typeof word === 'string' ? 'a text that is no scheme word' : nameOf(word)
    throw new TypeError(
      `createGate: \`ignoreAuthorization\` has ${shown}; write only the first word of the header, such as 'Basic'.`,
    )
  }
  const lower = word.toLowerCase()
  if (lower === 'bearer') {
    throw new TypeError(
      'createGate: `ignoreAuthorization` must not have "Bearer": a bad token would count as none. Let the proxy remove the header, or send its token in another one.',
    )
  }
  const reader = schemes.find((scheme) => readsAuthorization(scheme, word))
  if (reader === undefined) return lower
  throw new TypeError(
    `createGate: \`ignoreAuthorization\` has "${word}", which the scheme ${JSON.stringify(reader.name)} reads: its credentials would never count. Remove the word or the scheme.`,
  )
}

/** Whether a scheme asks for a scheme word, or finds a credential in a header that has it. */
export function readsAuthorization(scheme: Scheme | Scheme<never>, word: string): boolean {
  if (firstWord(scheme.challenge)?.toLowerCase() === word.toLowerCase()) return true
  const authorization = `${word} dXBnYXRlOnVwZ2F0ZQ==`
  const sample: AuthRequest = {
    kind: 'http',
    method: 'GET',
    target: '/',
    headers: { authorization },
    rawHeaders: ['Authorization', authorization],
    encrypted: true,
  }
  try {
    return scheme.extract?.(sample)?.location?.toLowerCase() === 'authorization'
  } catch {
    // A scheme that needs more of a request says so at the first one.
    return false
  }
}

function firstWord(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? /^[^\t ]+/.exec(value)?.[0] : undefined
}
