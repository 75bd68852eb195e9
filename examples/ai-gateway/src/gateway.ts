import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { apiKey, createGate, createServices, type Logger, type Services, type Store } from 'upgate'
import { endStreams, httpGate } from 'upgate/node'
import { sqliteStore } from 'upgate/sql'
import type { Config } from './config.ts'
import { createProxy } from './proxy.ts'

/** A running proxy. */
export interface AiGateway {
  /** Under which callers reach it. */
  readonly origin: string
  readonly services: Services
  /** Answers that are still running. */
  readonly streams: number
  close(): Promise<void>
}

/** The scope a key needs to use the models. */
export const useModels = 'models.use'

/** The store of the keys, and the services that work on it. */
export interface Records {
  readonly store: Store
  readonly services: Services
}

/** Opens the records: keys live in a file, which the `keys` command shares. */
export async function openRecords(dataDir: string, logger?: Logger): Promise<Records> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const store = await sqliteStore({ file: join(dataDir, 'ai-gateway.db') })
  return { store, services: createServices({ store, ...(logger && { logger }) }) }
}

/** Listens, with the gate in front of everything. */
export async function startAiGateway(config: Config, logger?: Logger): Promise<AiGateway> {
  const { store, services } = await openRecords(config.dataDir, logger)
  const server = createServer()
  try {
    server.listen(config.port, config.host)
    await once(server, 'listening')
  } catch (error) {
    await services.close()
    await store.close()
    throw error
  }
  const { port } = server.address() as AddressInfo
  const host = config.host.includes(':') ? `[${config.host}]` : config.host
  const own = new Set([`http://${host}:${port}`, `http://localhost:${port}`])
  const origins = config.publicUrl === undefined ? [...own] : [config.publicUrl]
  const gate = createGate({
    name: 'ai-gateway',
    origins,
    schemes: [apiKey({ keys: services.keys })],
    rules: [
      { path: '/health', access: 'public' },
      { path: '/v1/*', access: 'required', kinds: ['service'], scopes: [useModels], challenge: 'api' },
    ],
    ...(logger && { logger }),
  })
  const proxy = createProxy(config, gate)
  const listener: RequestListener = (request, response) => {
    if (gate.principalOf(request) !== undefined) proxy(request, response)
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"ok"}')
  }
  server.on('request', httpGate(gate, listener))
  return {
    origin: origins[0] ?? '',
    services,
    get streams() {
      return gate.connections.size
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      endStreams(gate)
      server.closeAllConnections()
      await closed
      gate.close()
      await services.close()
      await store.close()
    },
  }
}
