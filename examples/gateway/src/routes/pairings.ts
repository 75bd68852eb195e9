import type { Express } from 'express'
import type { Invitation, PairingRefusal, PairingRequest } from 'upgate'
import { type Context, callerOf, labelOf } from '../context.ts'
import { listOf, nameOf, objectOf } from '../http/body.ts'
import { ProblemError } from '../http/problem.ts'
import { pairingProblem } from './pairing-problem.ts'

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
  readonly address: string | null
  /** First 16 digits of the SHA-256 of its key. */
  readonly key: string | null
  /** ISO 8601. */
  readonly createdAt: string
  /** ISO 8601. */
  readonly expiresAt: string
}

/** An open code or window; the code itself is shown once, when it is created. */
export interface InvitationView {
  readonly id: string
  readonly kind: 'code' | 'window'
  readonly scopes: readonly string[]
  /** ISO 8601. */
  readonly expiresAt: string
}

/** Lists the pending requests in order of arrival, for a user with these scopes. */
export async function listPairings(
  context: Context,
  held: readonly string[],
): Promise<readonly PairingView[]> {
  return (await context.services.pairing.pending()).map((request) => viewOf(request, held))
}

/** Lists the open codes and windows. */
export async function listInvitations(context: Context): Promise<readonly InvitationView[]> {
  return (await context.services.pairing.bootstrap.list()).map(invitationOf)
}

/** Creating codes and windows, and deciding requests, within the scopes of the user. */
export function addPairingRoutes(app: Express, context: Context): void {
  const { pairing } = context.services
  const { audit, live } = context

  app.get('/api/pairings', async (request, response) => {
    const { scopes } = callerOf(context, request)
    const [requests, invitations] = await Promise.all([
      listPairings(context, scopes),
      listInvitations(context),
    ])
    response.json({ requests, invitations })
  })

  app.post('/api/pairings/codes', async (request, response) => {
    const actor = callerOf(context, request)
    const made = await pairing.bootstrap.create({ actor, scopes: scopesOf(objectOf(request), actor.scopes) })
    if (made.outcome === 'refused') throw refused(made)
    const { id, scopes, expiresAt } = invitationOf(made.invitation)
    audit.record({ event: 'pairing_code_created', invitation: id, scopes, by: labelOf(actor) })
    response.status(201).json({ id, code: made.code, scopes, expiresAt })
  })

  app.post('/api/pairings/windows', async (request, response) => {
    const actor = callerOf(context, request)
    const made = await pairing.openWindow({ actor, scopes: scopesOf(objectOf(request), actor.scopes) })
    if (made.outcome === 'refused') throw refused(made)
    const view = invitationOf(made.invitation)
    audit.record({
      event: 'pairing_window_opened',
      invitation: view.id,
      scopes: view.scopes,
      by: labelOf(actor),
    })
    response.status(201).json(view)
  })

  app.delete('/api/pairings/invitations/:id', async (request, response) => {
    const actor = callerOf(context, request)
    if (!(await pairing.bootstrap.revoke(request.params.id, { actor }))) throw unknownInvitation
    audit.record({ event: 'pairing_invitation_ended', invitation: request.params.id, by: labelOf(actor) })
    response.sendStatus(204)
  })

  app.post('/api/pairings/:id/approve', async (request, response) => {
    const body = objectOf(request)
    const actor = callerOf(context, request)
    const decision = await pairing.approve(request.params.id, {
      actor,
      ...(Object.hasOwn(body, 'name') && { name: nameOf(body) }),
      ...(Object.hasOwn(body, 'scopes') && { scopes: scopesOf(body, actor.scopes) }),
    })
    if (decision.outcome === 'refused') throw refused(decision)
    const { id, granted } = decision.request
    const { deviceId: device = '', name = '', role = '', scopes = [] } = granted ?? {}
    audit.record({ event: 'pairing_approved', pairing: id, device, name, scopes, by: labelOf(actor) })
    live.changed('devices')
    response.json({ id, device, name, role, scopes })
  })

  app.post('/api/pairings/:id/reject', async (request, response) => {
    const actor = callerOf(context, request)
    const decision = await pairing.reject(request.params.id, { actor })
    if (decision.outcome === 'refused') throw refused(decision)
    const { id, name } = decision.request
    audit.record({ event: 'pairing_rejected', pairing: id, name, by: labelOf(actor) })
    response.sendStatus(204)
  })
}

/** Reads the scopes to grant; none if the body names none. A user grants only scopes that the user holds. */
function scopesOf(body: Readonly<Record<string, unknown>>, held: readonly string[]): readonly string[] {
  const scopes = Object.hasOwn(body, 'scopes') ? listOf(body, 'scopes', 32) : []
  if (scopes.every((scope) => held.includes(scope))) return scopes
  throw new ProblemError({
    status: 403,
    code: 'scope_not_held',
    detail: 'You do not hold every scope that you want to grant.',
    action: `Choose from the scopes you hold: ${held.join(', ') || 'none'}.`,
  })
}

function refused(refusal: PairingRefusal): ProblemError {
  return new ProblemError(pairingProblem(refusal))
}

const unknownInvitation = new ProblemError({
  status: 404,
  code: 'not_found',
  detail: 'There is no open code or window with this id.',
  action: 'List the pairings and use one of the ids there.',
})

function viewOf(request: PairingRequest, held: readonly string[]): PairingView {
  const covered = request.limit?.scopes ?? held
  return {
    id: request.id,
    comparisonCode: request.comparisonCode,
    name: request.name,
    role: request.role,
    scopes: request.scopes,
    grantable: request.scopes.filter((scope) => held.includes(scope) && covered.includes(scope)),
    introduction: request.introduction,
    address: request.clientAddress ?? null,
    key: request.keyId?.slice(0, 16) ?? null,
    createdAt: new Date(request.createdAt).toISOString(),
    expiresAt: new Date(request.expiresAt).toISOString(),
  }
}

function invitationOf({ id, kind, scopes, expiresAt }: Invitation): InvitationView {
  return { id, kind, scopes, expiresAt: new Date(expiresAt).toISOString() }
}
