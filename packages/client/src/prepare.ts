import { clean, type Diagnosis, type Observation, type SentCredential } from '@upgate/diagnosis'
import type { Admission } from './access/admission.ts'
import { AccessRefusal } from './access/refusal.ts'
import type { AttemptParts } from './attempt-contract.ts'
import { type Credential, type CredentialRequest, secretsOf } from './credential.ts'
import { checkEdge, type EdgeCredential, isUserToken, serviceTokenHeaders } from './edge.ts'
import type { ClientHandshake } from './handshake.ts'
import { type ConnectOptions, checkCredential } from './options.ts'
import { isExposed, isSecretHeader, plainRefusal } from './plain.ts'
import { readTarget } from './target.ts'

/** The parts of an attempt, or why there is nothing to send. */
export type Prepared =
  | { readonly parts: AttemptParts; readonly edge: Readonly<Record<string, string>> }
  | { readonly parts: undefined; readonly observation: Observation }

/** Fetches a credential of the protocol, and checks it. */
export async function fetchCredential(
  source: ConnectOptions['credential'],
  request: CredentialRequest,
): Promise<Credential | undefined> {
  if (typeof source !== 'function') return source
  const fetched = await source(request)
  if (fetched !== undefined) checkCredential(fetched)
  return fetched
}

/**
 * Collects what one attempt sends: the credentials, fetched, and the headers. Nothing that others could read is among it,
 * and no function is asked for a secret that could not be sent.
 */
export async function prepare(
  url: string,
  options: ConnectOptions,
  {
    handshake,
    sendsHeaders,
    reason,
    refusal,
    signal,
    admission,
  }: {
    readonly handshake: ClientHandshake
    readonly sendsHeaders: boolean
    readonly reason: CredentialRequest['reason']
    readonly refusal: Diagnosis | undefined
    readonly signal: AbortSignal
    readonly admission: Admission | undefined
  },
): Promise<Prepared> {
  const target = readTarget(url)
  if (target.url === undefined) return { parts: undefined, observation: target.observation }
  const fail = (error: Observation['error']): Prepared => ({
    parts: undefined,
    observation: { url: target.url, error },
  })
  const accepted = options.dangerouslySendCredentialsOverPlain === true
  const exposed = isExposed(target.url)
  const own = lowerCase(options.headers ?? {})
  const refusedFor = (credential: Credential | undefined): Observation['error'] =>
    exposed
      ? plainRefusal({ edge: options.edge !== undefined, headers: own, credential, accepted })
      : undefined

  const early = refusedFor(undefined)
  if (early !== undefined) return fail(early)
  let credential: Credential | undefined
  let added: Readonly<Record<string, string>> = {}
  try {
    credential = await fetchCredential(options.credential, { reason, diagnosis: refusal, signal })
    const edge = typeof options.edge === 'function' ? await options.edge() : options.edge
    if (edge !== undefined) {
      checkEdge(edge)
      added = await headersFor(edge, target.url, admission, signal)
    }
  } catch (error) {
    if (error instanceof AccessRefusal) return { parts: undefined, observation: error.observation }
    return fail({ code: 'credential_unavailable', name: clean(error instanceof Error ? error.name : '') })
  }
  const late = refusedFor(credential)
  if (late !== undefined) return fail(late)
  const headers = { ...own, ...added }
  const kinds: SentCredential[] = [
    ...(credential === undefined ? [] : [handshake.kindOf(credential)]),
    ...kindsOf(headers),
  ]
  return {
    edge: added,
    parts: {
      url: target.url,
      credential,
      headers,
      sent: { credentials: kinds, client: sendsHeaders ? 'library' : 'browser' },
      secrets: [
        ...secretsOf(credential),
        ...Object.entries(headers).flatMap(([name, value]) =>
          isSecretHeader(name) ? secretParts(value) : [],
        ),
      ],
      mayAddSecrets: !exposed || accepted,
    },
  }
}

/** The headers that carry an edge credential; a user's token only after the server proved that it may have it. */
async function headersFor(
  edge: EdgeCredential,
  url: string,
  admission: Admission | undefined,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  if (!isUserToken(edge)) return serviceTokenHeaders(edge)
  if (admission === undefined)
    throw new TypeError('connect: `edge.userToken` needs the entry @upgate/client.')
  const token = await admission.tokenFor(url, edge, signal)
  return token === undefined ? {} : { 'cf-access-token': token }
}

function lowerCase(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** The kinds of credentials in headers. */
function kindsOf(headers: Readonly<Record<string, string>>): readonly SentCredential[] {
  return [
    ...(/^\s*\{/.test(headers.authorization ?? '') ? (['edge_service_token'] as const) : []),
    ...(/^Bearer /i.test(headers.authorization ?? '') ? (['bearer'] as const) : []),
    ...('cf-access-client-id' in headers ? (['edge_service_token'] as const) : []),
    ...('cf-access-token' in headers ? (['edge_user_token'] as const) : []),
    ...('cookie' in headers ? (['cookie'] as const) : []),
    ...('x-api-key' in headers ? (['api_key'] as const) : []),
  ]
}

/** A header's value, and the words in it: a server may echo the token without `Bearer`. */
function secretParts(value: string): readonly string[] {
  return [value, ...value.split(/[\s;,="{}]+/).filter((part) => part.length >= 12)]
}
