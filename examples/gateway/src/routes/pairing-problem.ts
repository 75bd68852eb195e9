import type { PairingRefusal } from 'upgate'
import type { Problem } from '../http/problem.ts'

type Answer = Pick<Problem, 'status' | 'action'>

const answers: Readonly<Record<PairingRefusal['code'], Answer>> = {
  unknown_request: { status: 404, action: 'List the pairings and use one of the ids there.' },
  request_expired: { status: 410, action: 'Let the device connect again, with a new code if it used one.' },
  already_decided: { status: 409, action: 'Look at the devices; another user decided first.' },
  scope_not_held: { status: 403, action: 'Grant fewer scopes, or ask a user with these scopes to approve.' },
  role_not_grantable: { status: 403, action: 'Reject it; devices get the role node here.' },
  beyond_invitation: {
    status: 403,
    action: 'Grant fewer scopes, or reject the request and create a new code.',
  },
  actor_not_allowed: { status: 403, action: 'Ask a user with the scope for pairing to decide.' },
}

/** Turns a refusal of the pairing service into a problem document. */
export function pairingProblem({ code, reason }: PairingRefusal): Problem {
  return { ...answers[code], code, detail: reason }
}
