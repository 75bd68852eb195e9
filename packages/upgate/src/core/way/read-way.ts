import type { RefusalCode } from '../contract/codes.ts'
import type { AuthRequest } from '../contract/request.ts'
import type { ClientAddresses } from '../request/client-address.ts'
import type { OriginPolicy } from '../request/origin.ts'
import { asksForWebSocket } from '../request/upgrade-request.ts'
import { readAddresses } from './addresses.ts'
import { readAuthorization } from './authorization.ts'
import type { WayFinding } from './finding.ts'
import { readHost } from './host.ts'
import { readRemovedOrigin, readWrittenOrigin } from './origin.ts'
import { readUpgrade } from './upgrade.ts'

/** The input of a reading. The functions are called only where their answer matters. */
export interface WayFacts {
  readonly request: AuthRequest
  /** Of the refusal; `undefined` where the request is let in, or into quarantine. */
  readonly code: RefusalCode | undefined
  readonly policy: OriginPolicy
  readonly addresses: ClientAddresses
  /** Names the credentials that browsers attach by themselves, as far as the request has any. */
  readonly ambient: () => readonly string[]
  /** Whether a scheme of the gate uses a scheme word of `Authorization`. */
  readonly isRead: (word: string) => boolean
}

/**
 * Reads what parties on the way did to a request: for the operator alone.
 *
 * Every sign is something that a client can send as well, without any proxy. So a reading decides nothing, and its
 * sentences go to the event, the log and `explain`, never into an answer.
 */
export function readWay({
  request,
  code,
  policy,
  addresses,
  ambient,
  isRead,
}: WayFacts): readonly WayFinding[] {
  const found: WayFinding[] = []
  const add = (finding: WayFinding | undefined): void => {
    if (finding !== undefined) found.push(finding)
  }
  const { origin, upgrade } = request.headers
  if (code === 'host_refused') add(readHost(request, policy))
  if (upgrade !== undefined && (code === undefined || code === 'auth_required')) {
    add(readRemovedOrigin(request, asksForWebSocket(request), ambient))
  }
  if (origin !== undefined) {
    add(readWrittenOrigin(request, policy, asksForWebSocket(request), code === 'origin_refused'))
  }
  add(readUpgrade(request))
  if (code === 'invalid_credential' || code === 'multiple_credentials')
    add(readAuthorization(request, isRead))
  add(readAddresses(request, addresses))
  return found.length === 0 ? nothing : found
}

const nothing: readonly WayFinding[] = Object.freeze([])

/**
 * Whether a request that is let in can have a sign that {@link readAllowed} finds. Costs a few look-ups of headers, and nothing
 * for requests with neither Origin nor Upgrade.
 *
 * The handshake of an upgrade has been checked by then, and no navigation is one: an Origin that contradicts the browser
 * is left.
 */
export function mayShowSign({ kind, headers }: AuthRequest): boolean {
  if (headers.origin === undefined) return headers.upgrade !== undefined && kind === 'http'
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  return kind === 'http' && (headers.upgrade !== undefined || headers['sec-fetch-mode'] === 'navigate')
}

/**
 * The signs that the operator should hear of although the request may be let in: an Origin that a proxy wrote, and
 * `Upgrade` on an ordinary request. Costs two look-ups where it has neither header.
 */
export function readAllowed(request: AuthRequest, policy: OriginPolicy): WayFinding | undefined {
  const { origin, upgrade } = request.headers
  if (origin === undefined && upgrade === undefined) return undefined
  const written =
    origin === undefined ? undefined : readWrittenOrigin(request, policy, asksForWebSocket(request), false)
  if (written !== undefined || upgrade === undefined) return written
  const finding = readUpgrade(request)
  return finding?.sign === 'upgrade_added' ? finding : undefined
}
