import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'

const program = fileURLToPath(new URL('outage-gateway.mjs', import.meta.url))

export interface GatewayOptions {
  readonly postgres: string
  readonly redis: string
  /** Schema, channel and prefix. */
  readonly name: string
  readonly bus: 'postgres' | 'redis'
  /** Services that go away: bounds for them that a test can wait for, and longer ones for a service that only is busy. */
  readonly away: readonly ('postgres' | 'redis')[]
  /** Factor by which its time passes faster. */
  readonly speed: number
}

/** A gateway in a separate process. */
export interface Gateway {
  readonly port: number
  ask<T>(command: string, argument?: unknown): Promise<T>
  stop(): Promise<void>
}

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  // It runs the built files: the conditions of the test runner are for sources.
  const child: ChildProcess = fork(program, [JSON.stringify(options)], { execArgv: [] })
  const waiting = new Map<number, (answer: unknown) => void>()
  let asked = 0
  child.on('message', ({ id, answer }: { id: number; answer: unknown }) => waiting.get(id)?.(answer))
  const ready = new Promise((resolve) => waiting.set(0, resolve))
  const ended = once(child, 'exit')
  if ((await Promise.race([ready.then(() => true), ended.then(() => false)])) === false) {
    throw new Error('A gateway ended before it was ready: its complaints are above.')
  }
  function ask<T>(command: string, argument?: unknown): Promise<T> {
    const id = ++asked
    const answer = new Promise<T>((resolve) => waiting.set(id, resolve as (answer: unknown) => void))
    child.send({ id, command, argument })
    return answer.finally(() => waiting.delete(id))
  }
  return {
    port: await ask<number>('where'),
    ask,
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Milliseconds far above every bound of the gateway: a request without an answer by then gets none. */
const hung = 60_000

/**
 * Makes one attempt and returns its result as a word: a status with the code of the refusal, or the end of a
 * socket.
 */
export type Attempt = (gateway: Gateway) => Promise<string>

const agent = new Agent({ keepAlive: true })

/** Makes one request; `200`, or a status with the code in the body. */
export function request(headers: Readonly<Record<string, string>>): Attempt {
  return ({ port }) => {
    const own = { host: 'gateway.example.com', ...headers }
    const place = { hostname: '127.0.0.1', port, path: '/api/x', headers: own }
    const ask = (resolve: (outcome: string) => void, reject: (error: Error) => void): void => {
      const asked = get({ ...place, agent, timeout: hung }, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        response.on('end', () => {
          const code = /"code":"(\w+)"/.exec(body)?.[1]
          resolve(code === undefined ? `${response.statusCode}` : `${response.statusCode} ${code}`)
        })
      })
      asked.on('timeout', () => asked.destroy(new Error('hung')))
      asked.on('error', (error: Error & { code?: string }) => {
        if (error.message === 'hung') resolve('hung')
        // The server closed a connection that was idle for five seconds, while it was used again.
        else if (asked.reusedSocket && error.code === 'ECONNRESET') ask(resolve, reject)
        else reject(error)
      })
    }
    return new Promise(ask)
  }
}

/** Opens one socket that proves itself in its first frame; `accepted`, or its close code. */
export function handshake(token: string): Attempt {
  return ({ port }) =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`)
      const late = setTimeout(() => end('hung'), hung)
      const end = (outcome: string): void => {
        clearTimeout(late)
        ws.terminate()
        resolve(outcome)
      }
      ws.on('open', () => ws.send(JSON.stringify({ type: 'auth', token })))
      ws.on('message', (data) => {
        if (String(data).includes('"auth_ok"')) end('accepted')
      })
      ws.on('close', (code, reason) => end(`${code} ${reason}`))
      ws.on('unexpected-response', (_, { statusCode }) => end(`${statusCode}`))
      ws.on('error', reject)
    })
}

/** A socket that was accepted at 101 and stays open. */
export interface LiveSocket {
  /** Close code and reason, once it is closed. */
  readonly end: string | undefined
  readonly endedAt: number | undefined
  /** Whether the gateway still answers on it. */
  heard(): Promise<boolean>
  close(): void
}

export async function live({ port }: Gateway, token: string): Promise<LiveSocket> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/ws/strict`, {
    headers: { authorization: `Bearer ${token}` },
  })
  let end: string | undefined
  let endedAt: number | undefined
  ws.on('close', (code, reason) => {
    end = `${code} ${reason}`
    endedAt = performance.now()
  })
  await once(ws, 'open')
  ws.on('error', () => {})
  return {
    get end() {
      return end
    },
    get endedAt() {
      return endedAt
    },
    async heard() {
      if (ws.readyState !== WebSocket.OPEN) return false
      ws.send('hello')
      return Promise.race([
        once(ws, 'message').then(([data]) => String(data) === 'heard hello'),
        sleep(hung, false, { ref: false }),
      ])
    },
    close: () => ws.terminate(),
  }
}

/** Results of all attempts, by kind and phase. */
export interface Load<K extends string> {
  /** Set by the test; an attempt counts for a phase if it began and ended in it. */
  phase: string
  /** Outcomes in a phase, or in the whole run, also between phases. */
  outcomes(kind: K, phase?: string): string[]
  /** Number of an outcome, at the gateway with the fewest. */
  count(kind: K, phase: string, outcome: string): number
  stop(): Promise<void>
}

/** Milliseconds between two attempts of a kind at one gateway: a load that leaves two cores time for the outage. */
const pause = 80

/** Makes every kind of attempt at every gateway, repeatedly until it is stopped. */
export function startLoad<K extends string>(
  gateways: readonly Gateway[],
  attempts: Readonly<Record<K, Attempt>>,
): Load<K> {
  const seen = gateways.map(() => new Map<string, Map<string, number>>())
  const note = (gateway: number, key: string, outcome: string): void => {
    const counts = seen[gateway]?.get(key) ?? new Map<string, number>()
    seen[gateway]?.set(key, counts.set(outcome, (counts.get(outcome) ?? 0) + 1))
  }
  let running = true
  const load: Load<K> = {
    phase: '',
    outcomes(kind, phase = '') {
      const all = seen.flatMap((counts) => [...(counts.get(`${phase} ${kind}`)?.keys() ?? [])])
      return [...new Set(all)].sort()
    },
    count: (kind, phase, outcome) =>
      Math.min(...seen.map((counts) => counts.get(`${phase} ${kind}`)?.get(outcome) ?? 0)),
    async stop() {
      running = false
      await Promise.all(workers)
    },
  }
  async function work(gateway: Gateway, index: number, kind: K): Promise<void> {
    while (running) {
      const { phase } = load
      const outcome = await attempts[kind](gateway).catch((error: unknown) => `failed: ${error}`)
      note(index, ` ${kind}`, outcome)
      if (phase === load.phase && phase !== '') note(index, `${phase} ${kind}`, outcome)
      await sleep(pause)
    }
  }
  const workers = gateways.flatMap((gateway, index) =>
    (Object.keys(attempts) as K[]).map((kind) => work(gateway, index, kind)),
  )
  return load
}
