import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { Refused } from 'upgate'
import { NodeRequest } from '../../src/node/request.ts'
import { type Harness, upgradeRequest } from './harness.ts'

/** A raw socket in memory. */
export class MemorySocket extends Duplex {
  readonly written: Buffer[] = []
  readonly remoteAddress = '127.0.0.1'

  constructor() {
    super({ allowHalfOpen: true })
    this.on('error', () => {})
  }

  override _read(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.written.push(Buffer.from(chunk))
    done()
  }

  /** Everything that the server wrote after its 101. */
  get answered(): Buffer {
    const all = Buffer.concat(this.written)
    return all.subarray(all.indexOf('\r\n\r\n') + 4)
  }
}

/** Decides the upgrade of a socket in memory, and hands it to the quarantine; answers why it was refused, if it was. */
export async function admitInMemory(
  t: Harness,
  socket: Duplex,
  clientAddress?: string,
): Promise<Refused | undefined> {
  const request = new IncomingMessage(socket as unknown as Socket)
  request.method = 'GET'
  request.url = '/ws'
  request.rawHeaders = upgradeRequest('/ws')
    .split('\r\n')
    .slice(1, -2)
    .flatMap((line) => line.split(/: /))
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    request.headers[(request.rawHeaders[i] as string).toLowerCase()] = request.rawHeaders[i + 1]
  }
  const decision = await t.gate.decide(new NodeRequest('upgrade', request))
  if (decision.outcome !== 'defer') throw new Error(`decided: ${decision.outcome}`)
  const head = Buffer.alloc(0)
  return t.quarantine.admit({ wss: t.wss, request, socket, head, decision, clientAddress })
}

/** Lets everything that is under way happen. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
