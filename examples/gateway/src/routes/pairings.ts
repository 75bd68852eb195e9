import type { Express } from 'express'
import type { PairingRefusal, PairingRequest } from 'upgate'
import { seenAddress } from '../client-address.ts'
import { type Context, callerOf, labelOf } from '../context.ts'
import { listOf, nameOf, objectOf, stringOf } from '../http/body.ts'
import { ProblemError } from '../http/problem.ts'
import { invitationOf, listInvitations, listPairings, outcomeOf } from '../pairing-views.ts'
import { pairingProblem } from './pairing-problem.ts'

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

  app.get('/api/pairings/:id', async (request, response) => {
    const outcome = await outcomeOf(context, request.params.id, callerOf(context, request).scopes)
    if (outcome === undefined) throw unknownRequest
    response.json(outcome)
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
    const asked = await pairing.get(request.params.id)
    if (Object.hasOwn(body, 'comparisonCode') && asked?.state === 'pending') {
      // Typed from the device's display: it tells apart requests under one name.
      if (plainCode(stringOf(body, 'comparisonCode', 64)) !== asked.comparisonCode) {
        audit.record({ event: 'pairing_code_wrong', ...aboutOf(asked), by: labelOf(actor) })
        throw codeMismatch
      }
    }
    const decision = await pairing.approve(request.params.id, {
      actor,
      ...(Object.hasOwn(body, 'name') && { name: nameOf(body) }),
      ...(Object.hasOwn(body, 'scopes') && { scopes: scopesOf(body, actor.scopes) }),
    })
    if (decision.outcome === 'refused') throw refused(decision)
    const { id, granted } = decision.request
    const { deviceId: device = '', name = '', role = '', scopes = [] } = granted ?? {}
    audit.record({
      event: 'pairing_approved',
      ...aboutOf(decision.request),
      device,
      name,
      scopes,
      by: labelOf(actor),
    })
    live.changed('devices')
    response.json({ id, device, name, role, scopes })
  })

  app.post('/api/pairings/:id/reject', async (request, response) => {
    const actor = callerOf(context, request)
    const decision = await pairing.reject(request.params.id, { actor })
    if (decision.outcome === 'refused') throw refused(decision)
    audit.record({ event: 'pairing_rejected', ...aboutOf(decision.request), by: labelOf(actor) })
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

const unknownRequest = new ProblemError({
  status: 404,
  code: 'unknown_request',
  detail: 'There is no such pairing request, or it ended more than ten minutes ago.',
  action: 'List the pairings and use one of the ids there.',
})

const codeMismatch = new ProblemError({
  status: 409,
  code: 'code_mismatch',
  detail: 'The device of this request shows other characters.',
  action: 'Read the six characters from the device again, or approve the request that has them.',
})

/** Removes blanks and hyphens: users type the code as they read it. */
function plainCode(typed: string): string {
  return typed.replace(/[\s-]/g, '').toUpperCase()
}

/** What an audit line says of a request. */
function aboutOf({ id, name, comparisonCode, keyId, clientAddress, peerAddress }: PairingRequest) {
  const seen = seenAddress(clientAddress, peerAddress)
  return { pairing: id, name, comparisonCode, key: keyId?.slice(0, 16), ...seen }
}
