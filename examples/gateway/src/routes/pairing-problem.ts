import type { PairingRefusal } from 'upgate'
import type { Problem } from '../http/problem.ts'

type Answer = Pick<Problem, 'status' | 'action'>

const answers: Readonly<Record<PairingRefusal['code'], Answer>> = {
  unknown_request: { status: 404, action: 'List the pairings and use one of the ids there.' },
  request_expired: { status: 410, action: 'Let the device connect again, with a new code if it had one.' },
  already_decided: { status: 409, action: 'Look at the devices; somebody was faster.' },
  scope_not_held: { status: 403, action: 'Grant less, or let somebody approve who holds these scopes.' },
  role_not_grantable: { status: 403, action: 'Reject it; devices get the role node here.' },
  beyond_invitation: { status: 403, action: 'Grant less, or reject it and make a new code.' },
  actor_not_allowed: { status: 403, action: 'Let somebody decide who may.' },
}

/** Why a request was not approved, rejected, or invited, as a problem document. */
export function pairingProblem({ code, reason }: PairingRefusal): Problem {
  return { ...answers[code], code, detail: reason }
}
