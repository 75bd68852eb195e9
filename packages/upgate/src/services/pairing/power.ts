import type { PairingLimit } from '../../core/ports/pairings.ts'
import type { PairingActor, PairingRefusal, PairingRefusalCode } from './types.ts'

export function refusal(code: PairingRefusalCode, reason: string): PairingRefusal {
  return { outcome: 'refused', code, reason }
}

/** Name of an actor in the audit events. */
export function nameOf(actor: PairingActor): string {
  return 'unbounded' in actor ? actor.unbounded : actor.id
}

/** Checks what an actor may decide and grant: never more than the actor holds. */
export interface Power {
  mayAct(actor: PairingActor): PairingRefusal | undefined
  mayGrant(
    actor: PairingActor,
    grant: PairingLimit,
    limit: PairingLimit | undefined,
  ): PairingRefusal | undefined
}

export function createPower(
  roles: Readonly<Record<string, readonly string[]>>,
  actorScope: string | undefined,
): Power {
  function mayAct(actor: PairingActor): PairingRefusal | undefined {
    if ('unbounded' in actor) return undefined
    if (actorScope !== undefined) {
      if (actor.scopes.includes(actorScope)) return undefined
      return refusal(
        'actor_not_allowed',
        `An actor that decides about devices must hold the scope ${actorScope}.`,
      )
    }
    if (actor.kind === 'user') return undefined
    return refusal('actor_not_allowed', `A ${actor.kind} may not decide about devices.`)
  }
  return {
    mayAct,
    mayGrant(actor, grant, limit) {
      const refused = mayAct(actor)
      if (refused !== undefined) return refused
      if (limit !== undefined) {
        const beyond = grant.scopes.filter((scope) => !limit.scopes.includes(scope))
        if (grant.role !== limit.role || beyond.length > 0) {
          const what = beyond.length > 0 ? beyond.join(', ') : `the role ${grant.role}`
          return refusal(
            'beyond_invitation',
            `The code or window that let the device ask does not cover: ${what}.`,
          )
        }
      }
      if (!Object.hasOwn(roles, grant.role) && ('unbounded' in actor || !actor.roles.includes(grant.role)))
        return refusal('role_not_grantable', `No device may get the role ${grant.role} here.`)
      if ('unbounded' in actor) return undefined
      if (!actor.roles.includes(grant.role)) {
        const missing = (roles[grant.role] as readonly string[]).filter(
          (scope) => !actor.scopes.includes(scope),
        )
        if (missing.length > 0) {
          return refusal(
            'role_not_grantable',
            `To grant the role ${grant.role} you need: ${missing.join(', ')}.`,
          )
        }
      }
      const missing = grant.scopes.filter((scope) => !actor.scopes.includes(scope))
      if (missing.length > 0) {
        return refusal('scope_not_held', `You cannot grant what you do not hold: ${missing.join(', ')}.`)
      }
      return undefined
    },
  }
}
