import { createHash, timingSafeEqual } from 'node:crypto'
import type { Principal, Scheme, Services } from 'upgate'
import type { UpstreamConfig } from './config.ts'

/**
 * Lets nodes with a credential of the gateway ask to be paired at the front: with the gateway's shared token always, with
 * any other one (the bootstrap token of a join link, the token of a node that the gateway knows) while a window is open.
 * The credential admits no node; a person has to approve it.
 */
export function upstreamCredential({ pairing }: Services, secret: UpstreamConfig['secret']): Scheme {
  const shared = secret === undefined ? undefined : digest('token' in secret ? secret.token : secret.password)
  const introduced = (id: string) => ({ outcome: 'authenticated', principal: { ...principal, id } }) as const
  return {
    name: 'upstream-credential',
    ambient: false,
    yields: ['service'],
    claims: ({ type, value }) => type === 'token' && !/^ug[kdts]_/.test(String(value)),
    async verify({ value }) {
      if (shared !== undefined && timingSafeEqual(digest(String(value)), shared))
        return introduced('gateway-token')
      let invitations: Awaited<ReturnType<typeof pairing.bootstrap.list>>
      try {
        invitations = await pairing.bootstrap.list()
      } catch (cause) {
        return { outcome: 'unavailable', reason: 'the store did not answer', cause }
      }
      if (invitations.some(({ kind }) => kind === 'window')) return introduced('open-window')
      return {
        outcome: 'rejected',
        code: 'invalid_credential',
        reason: "a credential of the gateway's own, and no window for pairing is open",
      }
    },
  }
}

const principal: Principal = Object.freeze({
  kind: 'service',
  id: 'gateway-token',
  scheme: 'upstream-credential',
  scopes: Object.freeze([]),
  roles: Object.freeze(['node']),
  attributes: Object.freeze({}),
})

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
