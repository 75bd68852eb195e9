import type { JSONWebKeySet } from 'jose'
import type { Clock } from '../clock.ts'
import { isToken, teamDomain } from '../edge.ts'
import { beginningOf } from '../handshakes/beginning-of.ts'
import { AccessRefusal, refusedBy } from './refusal.ts'

/** An application of Cloudflare Access, as metadata with the signature of its team name it. */
export interface AccessApplication {
  /** The team's domain, such as `acme.cloudflareaccess.com`. */
  readonly team: string
  /** The AUD tag. */
  readonly audience: string
  /** The host of the URL. */
  readonly hostname: string
}

/** The user's expectations, from `edge.team` and `edge.audience`. */
export interface Pins {
  readonly team: string | undefined
  readonly audience: readonly string[] | undefined
}

/** The largest document of keys, in characters. */
const longestKeys = 262_144
/** Metadata older than a day may be a copy of what another server sent. */
const oldest = 86_400
/** Seconds by which the clocks may differ. */
const tolerance = 300

/**
 * Asks the origin of a URL for its Access metadata, without any credential, and verifies them: signed by the team that they
 * name, for the host of the URL, and not older than a day.
 *
 * The pins are compared before the keys are fetched, so that a server cannot lead the client to another team's domain.
 *
 * @throws AccessRefusal with the observation
 */
export async function verifiedApplication(
  url: string,
  pins: Pins,
  {
    fetch,
    clock,
    signal,
  }: { readonly fetch: typeof globalThis.fetch; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<AccessApplication> {
  const socket = new URL(url)
  const place = new URL(url.replace(/^ws/, 'http'))
  const response = await refusedBy(place.href, () =>
    fetch(place.href, {
      method: 'HEAD',
      headers: { 'cf-access-metadata-request': 'true', accept: '*/*' },
      redirect: 'manual',
      credentials: 'omit',
      cache: 'no-store',
      signal,
    }),
  )
  const metadata = response.headers.get('cf-access-metadata') ?? ''
  await response.body?.cancel()
  if (!isToken(metadata)) {
    // A server in trouble has another verdict, and is asked again.
    if (response.status >= 500 || response.status === 429) {
      const headers = Object.fromEntries(response.headers)
      throw new AccessRefusal({
        url,
        sent: { upgrade: true },
        response: { status: response.status, headers },
      })
    }
    throw unverified(url, 'The server sends no Access metadata.')
  }
  const claimed = await claimsOf(metadata)
  const team = teamDomain(claimed?.auth_domain)
  if (team === undefined) throw unverified(url, 'The metadata name no team of Cloudflare Access.')
  if (pins.team !== undefined && pins.team !== team) {
    throw unverified(url, 'The metadata name another team than the expected one.')
  }
  const keys = await keysOf(team, fetch, signal)
  const { createLocalJWKSet, decodeProtectedHeader, jwtVerify } = await import('jose')
  let claims: Readonly<Record<string, unknown>>
  try {
    if (decodeProtectedHeader(metadata).kid === undefined) throw new TypeError('no kid')
    const verified = await jwtVerify(metadata, createLocalJWKSet(keys), {
      algorithms: ['RS256'],
      currentDate: new Date(clock.now()),
      clockTolerance: tolerance,
      maxTokenAge: oldest,
    })
    claims = verified.payload
  } catch {
    throw unverified(url, 'The metadata are not signed by the keys of the team, or too old.')
  }
  const { type, hostname, aud } = claims
  if (type !== 'match' || hostname !== socket.hostname) {
    throw unverified(url, 'The metadata are for another host.')
  }
  if (
    typeof aud !== 'string' ||
    aud === '' ||
    (pins.audience !== undefined && !pins.audience.includes(aud))
  ) {
    throw unverified(url, 'The metadata name another application than the expected one.')
  }
  return { team, audience: aud, hostname: socket.hostname }
}

/** The claims of a token, not verified. jose is loaded here, since few clients pass Access. */
export async function claimsOf(token: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const { decodeJwt } = await import('jose')
  try {
    return decodeJwt(token)
  } catch {
    return undefined
  }
}

/** The refusal to send a token to a server that did not prove that it may have it. */
export function unverified(url: string, message: string): AccessRefusal {
  return new AccessRefusal({ url, error: { code: 'access_unverified', message } })
}

/** The keys of a team, from its own domain. */
async function keysOf(
  team: string,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal,
): Promise<JSONWebKeySet> {
  const url = `https://${team}/cdn-cgi/access/certs`
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/json' },
      redirect: 'manual',
      credentials: 'omit',
      signal,
    })
    if (response.status !== 200) throw new TypeError('no keys')
    const { keys } = JSON.parse(await beginningOf(response, longestKeys)) as { readonly keys?: unknown }
    if (!Array.isArray(keys) || keys.length > 16) throw new TypeError('no keys')
    return { keys: keys as JSONWebKeySet['keys'] }
  } catch {
    throw new AccessRefusal({ url, error: { code: 'access_keys_unreachable' } })
  }
}
