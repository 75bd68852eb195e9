import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import supertest from 'supertest'
import { createGate, type Gate, type GateOptions } from 'upgate'
import { guardServer, jsonFrame } from 'upgate/ws'
import { afterEach, beforeEach } from 'vitest'
import { type Application, type Contender, type Placement, sockets } from './contenders.ts'
import { type Credentials, createCredentials } from './credentials.ts'

export const origin = 'https://gateway.example.com'
export const foreign = 'https://evil.example'
/** The header that marks refusals of the gate. */
export const marker = 'upgate-refusal'

/** The part of supertest's answer that the tests read. */
export interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: Record<string, string>
}
type SuperTest = PromiseLike<Answer> & { set(name: string, value: string): SuperTest }

interface Served {
  readonly gate: Gate
  readonly application: Application
  readonly port: number
}

/**
 * One contender with a gate, credentials and an application that records its requests; new for every test.
 */
export interface ContractStage {
  readonly credentials: Credentials
  /** `METHOD URL` of the requests that reached the application. */
  readonly reached: string[]
  createTheGate(more?: Partial<GateOptions>): Gate
  createApplication(gate: Gate): Application
  listen(server: Server): Promise<number>
  stage(placement?: Placement): Promise<Served>
  stageWithSockets(): Promise<Served>
  ask(port: number, method: string, path: string): SuperTest
}

/** Sets the stage before every test of the current `describe`, and clears it afterwards. */
export function useStage(contender: Contender): ContractStage {
  const servers: Server[] = []
  let credentials: Credentials
  let reached: string[]

  beforeEach(() => {
    credentials = createCredentials()
    reached = []
  })
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  function createTheGate(more: Partial<GateOptions> = {}): Gate {
    return createGate({
      schemes: credentials.schemes,
      origins: [origin],
      login: { page: '/login' },
      setup: { page: '/setup', required: () => credentials.empty },
      rules: [
        { path: ['/health', '/login', '/setup'], access: 'public' },
        { path: '/assets/*', access: 'public' },
        { path: '/maybe', access: 'optional' },
        {
          path: '/ws',
          access: 'deferred',
          kinds: ['device'],
          handshake: jsonFrame({ credential: (message) => message.token }),
        },
        { path: '/api/admin/*', access: 'required', kinds: ['user', 'service'], scopes: ['admin'] },
        { path: '/api/*', access: 'required', kinds: ['user', 'service'] },
        { path: '/tenant/public', access: 'public' },
      ],
      ...more,
    } as never) as unknown as Gate
  }

  function createApplication(gate: Gate): Application {
    return {
      reached,
      answer(incoming) {
        reached.push(`${incoming.method} ${incoming.url}`)
        return JSON.stringify({ handled: true, principal: gate.principalOf(incoming)?.id ?? null })
      },
    }
  }

  async function listen(server: Server): Promise<number> {
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }

  async function stage(placement?: Placement): Promise<Served> {
    const gate = createTheGate()
    const application = createApplication(gate)
    const port = await listen(contender.serve(gate, application, placement))
    return { gate, application, port }
  }

  async function stageWithSockets(): Promise<Served> {
    const gate = createTheGate()
    const application = createApplication(gate)
    const server = contender.serve(gate, application)
    if (!contender.guardsSockets) guardServer(server, gate, { sockets: sockets() })
    return { gate, application, port: await listen(server) }
  }

  function ask(port: number, method: string, path: string): SuperTest {
    return supertest(`http://127.0.0.1:${port}`)
      [method](path)
      .redirects(0)
      .ok(() => true)
      .set('Host', 'gateway.example.com')
  }

  return {
    get credentials() {
      return credentials
    },
    get reached() {
      return reached
    },
    createTheGate,
    createApplication,
    listen,
    stage,
    stageWithSockets,
    ask,
  }
}
