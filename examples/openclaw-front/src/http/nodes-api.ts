import type { IncomingMessage, ServerResponse } from 'node:http'
import type { PairingRefusal, PairingRequest, Principal, Services } from 'upgate'
import { own } from '../rules.ts'
import type { ConnectedNodes } from '../sockets/connected.ts'
import { badBody, notFound, type Problem, sendJson, sendProblem } from './answers.ts'
import { readBody } from './body.ts'

/** The API for nodes, below `/_front/api`; the rules admit people that may manage. */
export function createNodesApi(services: Services, connected: ConnectedNodes) {
  const { pairing, devices } = services
  return async (request: IncomingMessage, response: ServerResponse, actor: Principal): Promise<void> => {
    const [path = ''] = (request.url ?? '').split('?', 1)
    const [area, id, verb, ...rest] = path.slice(`${own}/api/`.length).split('/')
    const asked = `${request.method} ${[area, id && ':id', verb, ...rest].filter(Boolean).join('/')}`
    switch (asked) {
      case 'GET nodes':
        return sendJson(response, 200, { nodes: connected.list() })
      case 'GET devices':
        return sendJson(response, 200, {
          devices: (await devices.list()).map(({ id, name, role, createdAt }) => ({
            id,
            name,
            role,
            createdAt,
          })),
        })
      case 'DELETE devices/:id':
        return (await devices.revoke(id ?? '')) === undefined
          ? sendProblem(response, notFound)
          : sendJson(response, 204)
      case 'GET pairings':
        return sendJson(response, 200, { requests: (await pairing.pending()).map(view) })
      case 'POST pairings/:id': {
        if (id === 'codes') {
          const made = await pairing.bootstrap.create({ actor, role: 'node' })
          return made.outcome === 'done'
            ? sendJson(response, 201, { code: made.code, expiresAt: made.invitation.expiresAt })
            : sendProblem(response, refused(made))
        }
        if (id !== 'windows') return sendProblem(response, notFound)
        const opened = await pairing.openWindow({ actor, role: 'node' })
        return opened.outcome === 'done'
          ? sendJson(response, 201, { expiresAt: opened.invitation.expiresAt })
          : sendProblem(response, refused(opened))
      }
      case 'POST pairings/:id/approve': {
        const fields = await readBody(request)
        if (fields === undefined) return sendProblem(response, badBody)
        const pending = await pairing.get(id ?? '')
        // The wrong one of two requests was approved before people had to compare.
        if (
          pending !== undefined &&
          pending.comparisonCode !== fields.get('comparisonCode')?.trim().toUpperCase()
        ) {
          return sendProblem(response, otherCode)
        }
        const answer = await pairing.approve(id ?? '', { actor })
        return answer.outcome === 'done'
          ? sendJson(response, 200, view(answer.request))
          : sendProblem(response, refused(answer))
      }
      case 'POST pairings/:id/reject': {
        const answer = await pairing.reject(id ?? '', { actor })
        return answer.outcome === 'done' ? sendJson(response, 204) : sendProblem(response, refused(answer))
      }
      default:
        return sendProblem(response, notFound)
    }
  }
}

const otherCode: Problem = {
  status: 409,
  code: 'code_mismatch',
  detail: 'The device shows another comparison code.',
  action: 'Send `comparisonCode` as the device shows it, or reject the request.',
}

function view({
  id,
  comparisonCode,
  name,
  role,
  clientAddress,
  createdAt,
  expiresAt,
  keyId,
  state,
}: PairingRequest) {
  return {
    id,
    comparisonCode,
    name,
    role,
    address: clientAddress ?? null,
    keyId,
    state,
    createdAt,
    expiresAt,
  }
}

function refused({ code, reason }: PairingRefusal): Problem {
  return {
    status: code === 'unknown_request' ? 404 : 409,
    code,
    detail: reason,
    action: 'Load the list again.',
  }
}
