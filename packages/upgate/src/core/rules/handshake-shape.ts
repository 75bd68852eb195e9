import type { Handshake, HandshakeRefresh } from '../contract/handshake.ts'
import { isPlain, wrongOption } from '../options/check-options.ts'

const methods = ['receive', 'accept', 'reject'] as const
const optionalMethods = ['state', 'headers', 'open', 'claims', 'ended', 'closed'] as const
const refreshMethods = ['receive', 'accept', 'reject'] as const

/**
 * Checks that a handshake has the methods that it needs.
 *
 * @throws TypeError that names the missing or wrong one
 */
export function assertHandshake(where: string, handshake: Handshake): void {
  assertMethods(where, 'handshake', handshake, methods, optionalMethods)
  const { refresh } = handshake
  if (refresh === undefined) return
  if (!isPlain(refresh)) throw wrongOption(where, 'handshake.refresh', 'an object, or left out', refresh)
  assertMethods(where, 'handshake.refresh', refresh, refreshMethods, ['expiring'])
  const { marker }: Partial<HandshakeRefresh> = refresh
  // An empty one is part of every frame: the handshake would read all of the application's data.
  if (!(typeof marker === 'string' || marker instanceof Uint8Array) || marker.length === 0) {
    throw wrongOption(where, 'handshake.refresh.marker', 'text or bytes, not empty', marker)
  }
}

function assertMethods<T extends object>(
  where: string,
  name: string,
  owner: T,
  needed: readonly (keyof T & string)[],
  optional: readonly (keyof T & string)[],
): void {
  for (const method of [...needed, ...optional]) {
    const value = owner[method]
    const isLeftOut = value === undefined && optional.includes(method)
    if (typeof value === 'function' || isLeftOut) continue
    const expected = optional.includes(method) ? 'a function, or left out' : 'a function'
    throw wrongOption(where, `${name}.${method}`, expected, value)
  }
}
