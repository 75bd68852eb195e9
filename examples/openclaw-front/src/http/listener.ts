import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Gate, Services } from 'upgate'
import type { PeopleLogin } from '../people.ts'
import { own } from '../rules.ts'
import type { ConnectedNodes } from '../sockets/connected.ts'
import { notFound, sendJson, sendProblem, unreachable } from './answers.ts'
import { createLoginRoutes } from './login.ts'
import { createNodesApi } from './nodes-api.ts'
import type { HttpProxy } from './proxy.ts'

export interface ListenerOptions {
  readonly gate: Gate
  readonly services: Services
  readonly login: PeopleLogin
  readonly proxy: HttpProxy
  readonly connected: ConnectedNodes
  log(message: string): void
}

/** Answers the front's own paths, and passes everything else on. */
export function createListener(options: ListenerOptions): RequestListener {
  const { gate, services, login, proxy, connected, log } = options
  const routes = createLoginRoutes(gate, services, login)
  const nodes = createNodesApi(services, connected)

  async function answer(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const { method } = request
    const get = method === 'GET' || method === 'HEAD'
    if (path === `${own}/health` && get) return sendJson(response, 200, { status: 'ok' })
    if (path === `${own}/login` && get) {
      const next = new URLSearchParams(request.url?.split('?')[1]).get('next')
      return routes.show(response, next)
    }
    if (path === `${own}/login` && method === 'POST') return routes.logIn(request, response)
    if (path === `${own}/logout` && method === 'POST') return routes.logOut(request, response)
    const principal = gate.principalOf(request)
    if (path.startsWith(`${own}/api/`) && principal !== undefined) return nodes(request, response, principal)
    return sendProblem(response, notFound)
  }

  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?', 1)
    // In any case and spelling: what looks like a path of the front is never the gateway's.
    if (!/^\/_front(?:\/|$)/i.test(path)) return proxy.handle(request, response)
    answer(request, response, path).catch((error: unknown) => {
      log(`A request to ${own} failed: ${error instanceof Error ? error.message : 'unknown error'}`)
      sendProblem(response, { ...unreachable, status: 503, code: 'unavailable', detail: 'The front failed.' })
    })
  }
}
