import type { Invitation, PairingRequest } from 'upgate'
import { folded } from './client-address.ts'
import type { Context } from './context.ts'

/** A device that waits for approval, as the API and the pages show it. Its name, role and scopes are unverified. */
export interface PairingView {
  readonly id: string
  /** The device shows the same code. */
  readonly comparisonCode: string
  readonly name: string
  readonly role: string
  readonly scopes: readonly string[]
  /** The requested scopes that the user holds and that the code or window covers. */
  readonly grantable: readonly string[]
  /** The introduction: a code, a window, or a person. */
  readonly introduction: string
  /** The client's, else that of the socket's peer. */
  readonly address: string | null
  /** True if it is the peer's: it may be a proxy's. */
  readonly addressMayBeProxy: boolean
  /** First 16 digits of the SHA-256 of its key. */
  readonly key: string | null
  /** ISO 8601. */
  readonly createdAt: string
  /** Last attempt of the device, to about 10 s; ISO 8601. */
  readonly askedAt: string
  /** Whole seconds since then. */
  readonly silentFor: number
  /** A device that waits asks again every few seconds; a silent one is probably gone. */
  readonly silent: boolean
  /** ISO 8601. */
  readonly expiresAt: string
}

/** A request at any time of its life. */
export interface PairingOutcome extends PairingView {
  readonly state: PairingRequest['state']
  /** Email address of the user that decided; the id of any other principal. */
  readonly decidedBy: string | null
  /** The device of the approval; its record exists as soon as it has collected its token. */
  readonly device: { readonly id: string; readonly name: string; readonly connected: boolean } | null
}

/** An open code or window; the code itself is shown once, when it is created. */
export interface InvitationView {
  readonly id: string
  readonly kind: 'code' | 'window'
  readonly scopes: readonly string[]
  /** ISO 8601. */
  readonly expiresAt: string
}

/** Seconds of silence after which a waiting device counts as gone. The slowest clients ask again within 30 s. */
const silence = 60

/**
 * Lists the pending requests for a user with these scopes: devices that still ask, the newest first; then the silent
 * ones. The order of those that ask does not depend on their last attempt, or rows would move under the pointer.
 */
export async function listPairings(
  context: Context,
  held: readonly string[],
): Promise<readonly PairingView[]> {
  const views = (await context.services.pairing.pending()).map((each) => viewOf(each, held, context.now()))
  return [
    ...views.filter(({ silent }) => !silent).reverse(),
    ...views.filter(({ silent }) => silent).sort((one, other) => one.silentFor - other.silentFor),
  ]
}

/** Says what became of a request; requests are forgotten ten minutes after their end. */
export async function outcomeOf(
  context: Context,
  id: string,
  held: readonly string[],
): Promise<PairingOutcome | undefined> {
  const request = await context.services.pairing.get(id)
  if (request === undefined) return undefined
  const { state, granted, decidedBy, expiresAt } = request
  const over = expiresAt <= context.now() && (state === 'pending' || state === 'approved')
  return {
    ...viewOf(request, held, context.now()),
    state: over ? 'expired' : state,
    decidedBy: decidedBy === undefined ? null : await labelOfId(context, decidedBy),
    device: granted
      ? {
          id: granted.deviceId,
          name: granted.name,
          connected: context.nodes.list().some((node) => node.id === granted.deviceId),
        }
      : null,
  }
}

/** Lists the open codes and windows. */
export async function listInvitations(context: Context): Promise<readonly InvitationView[]> {
  return (await context.services.pairing.bootstrap.list()).map(invitationOf)
}

async function labelOfId({ services }: Context, id: string): Promise<string> {
  return (await services.accounts.get(id))?.email ?? id
}

function viewOf(request: PairingRequest, held: readonly string[], now: number): PairingView {
  const silentFor = Math.max(0, Math.floor((now - request.askedAt) / 1000))
  const covered = request.limit?.scopes ?? held
  return {
    id: request.id,
    comparisonCode: request.comparisonCode,
    name: request.name,
    role: request.role,
    scopes: request.scopes,
    grantable: request.scopes.filter((scope) => held.includes(scope) && covered.includes(scope)),
    introduction: request.introduction,
    address: request.clientAddress ?? folded(request.peerAddress) ?? null,
    addressMayBeProxy: request.clientAddress === undefined && request.peerAddress !== undefined,
    key: request.keyId?.slice(0, 16) ?? null,
    createdAt: new Date(request.createdAt).toISOString(),
    askedAt: new Date(request.askedAt).toISOString(),
    silentFor,
    silent: silentFor >= silence,
    expiresAt: new Date(request.expiresAt).toISOString(),
  }
}

/** Leaves out the fields that pages do not show. */
export function invitationOf({ id, kind, scopes, expiresAt }: Invitation): InvitationView {
  return { id, kind, scopes, expiresAt: new Date(expiresAt).toISOString() }
}
