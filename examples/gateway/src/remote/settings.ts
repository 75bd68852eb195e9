import { isIP } from 'node:net'
import { badBody } from '../http/body.ts'
import { type Problem, ProblemError } from '../http/problem.ts'

/** The secrets of a remote, by the names of the API. */
export const secretNames = ['token', 'sessionKey', 'cfClientId', 'cfClientSecret'] as const
export type SecretName = (typeof secretNames)[number]

/** What a user sets. A secret that is absent is none; `undefined` in `given` stands for "as it was". */
export interface RemoteSettings {
  /** `ws://` or `wss://`, as the URL parser writes it. */
  readonly url: string
  readonly given: Readonly<Record<SecretName, string | null | undefined>>
}

/** Longest values, in characters. */
const longest: Readonly<Record<SecretName, number>> = {
  token: 4096,
  sessionKey: 512,
  cfClientId: 512,
  cfClientSecret: 512,
}

/**
 * Reads the body of `POST /api/remote`.
 *
 * @throws {ProblemError} that names the field; values are not quoted, because they may be secrets
 */
export function readSettings(body: Readonly<Record<string, unknown>>): RemoteSettings {
  const unknown = Object.keys(body).find(
    (name) => name !== 'url' && !secretNames.includes(name as SecretName),
  )
  if (unknown !== undefined) {
    throw badBody(`There is an unknown field; the fields are url, ${secretNames.join(', ')}.`)
  }
  const url = readUrl(Object.hasOwn(body, 'url') ? body.url : undefined)
  const given = Object.fromEntries(secretNames.map((name) => [name, readSecret(body, name)]))
  return { url: url.href, given: given as RemoteSettings['given'] }
}

/** Refuses secrets that do not fit together, or that must not go to this URL. */
export function checkTogether(url: string, secrets: Readonly<Partial<Record<SecretName, string>>>): void {
  const { cfClientId, cfClientSecret } = secrets
  if ((cfClientId === undefined) !== (cfClientSecret === undefined)) {
    throw refused({
      code: 'service_token_incomplete',
      detail:
        'A service token of Cloudflare Access is a client id and a client secret; one of them is missing.',
      action: 'Fill in both, or neither.',
    })
  }
  if (cfClientId !== undefined && !isEncryptedOrLocal(url)) {
    throw refused({
      code: 'service_token_over_plain',
      detail: 'A service token of Cloudflare Access is sent over wss:// only.',
      action: 'Let the URL begin with wss://, or leave the service token out.',
    })
  }
}

/** Whether the way to a URL is closed to others: it is encrypted, or does not leave this computer. */
export function isEncryptedOrLocal(text: string): boolean {
  const { protocol, hostname } = new URL(text)
  if (protocol === 'wss:') return true
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
  )
}

function readUrl(value: unknown): URL {
  const wrong = (detail: string): ProblemError =>
    refused({
      code: 'invalid_url',
      detail,
      action: 'Use the address of the other gateway, such as wss://gateway.example.com/ws.',
    })
  if (typeof value !== 'string') throw wrong('"url" must be a string.')
  const text = value.trim()
  if (text.length > 2048) throw wrong('The URL is longer than 2048 characters.')
  // A URL parser removes line breaks and tabs, and no user means them.
  if (!URL.canParse(text) || /[\p{Cc}\p{Cf}\s]/u.test(text)) throw wrong('The URL cannot be read.')
  const url = new URL(text)
  if (url.protocol === 'http:' || url.protocol === 'https:') url.protocol = url.protocol.replace('http', 'ws')
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw wrong('The URL must begin with ws:// or wss://.')
  }
  if (url.username !== '' || url.password !== '') {
    throw wrong('The URL must not hold a user or password; the token has a field of its own.')
  }
  // Query strings are in the logs of every proxy, and on this page.
  if (url.search !== '' || text.includes('?')) {
    throw wrong(
      'The URL must not hold a query: secrets in it would be shown. The token has a field of its own.',
    )
  }
  if (text.includes('#')) throw wrong('The URL must not hold a fragment (#).')
  if (url.hostname === '') throw wrong('The URL has no host.')
  return url
}

function readSecret(body: Readonly<Record<string, unknown>>, name: SecretName): string | null | undefined {
  const value = Object.hasOwn(body, name) ? body[name] : undefined
  if (value === undefined || value === null) return value
  if (typeof value !== 'string') throw badBody(`"${name}" must be a string, or null.`)
  const text = value.trim()
  if (text === '') return null
  if (text.length > longest[name]) {
    throw badBody(`"${name}" is longer than ${longest[name]} characters.`)
  }
  const fits = name === 'sessionKey' ? !/[\p{Cc}\p{Cf}\p{Cs}]/u.test(text) : /^[\x21-\x7e]+$/.test(text)
  if (!fits) {
    throw badBody(
      name === 'sessionKey'
        ? `"${name}" holds characters that cannot be shown.`
        : `"${name}" holds blanks or characters that no token has: copy it again.`,
    )
  }
  return text
}

function refused(problem: Omit<Problem, 'status'>): ProblemError {
  return new ProblemError({ status: 400, ...problem })
}
