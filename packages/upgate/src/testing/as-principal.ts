import { randomBytes } from 'node:crypto'
import type { Scheme } from '../core/contract/credential.ts'
import type { Principal } from '../core/contract/principal.ts'
import { assertKnownOptions } from '../core/options/check-options.ts'
import { unchecked } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'

const principalTable = optionTable<Partial<Principal>>()({
  kind: unchecked(),
  id: unchecked(),
  scheme: unchecked(),
  credentialId: unchecked(),
  sessionId: unchecked(),
  audiences: unchecked(),
  scopes: unchecked(),
  roles: unchecked(),
  expiresAt: unchecked(),
  displayName: unchecked(),
  attributes: unchecked(),
})

/** A principal for tests, and how to be it. */
export interface TestPrincipal {
  /** To be put among the gate's schemes, first. */
  readonly scheme: Scheme
  /** To be sent with a request or an upgrade. */
  readonly headers: Readonly<Record<string, string>>
  /** To be sent in band, where the handshake asks for a token. */
  readonly token: string
  /** The principal as the application sees it, frozen. */
  readonly principal: Principal
}

/**
 * Makes a principal for tests, without an account and without a store: the decisions stay the real ones.
 *
 * The token is random and known to this process only, so a scheme left in by mistake lets no client in.
 *
 * @param who - `id` is required. Default: a user without scopes and roles, of a scheme with a random name
 * @returns the scheme for the gate, and the headers or token to send
 * @throws TypeError for a principal without an id, or with something that no principal has
 * @example
 * const alice = asPrincipal({ id: 'alice', scopes: ['operator.admin'] })
 * const gate = createGate({ schemes: [alice.scheme], rules })
 * await fetch(url, { headers: alice.headers })
 */
export function asPrincipal(who: Partial<Principal> & { readonly id: string }): TestPrincipal {
  if (typeof who?.id !== 'string' || who.id === '') {
    throw new TypeError(
      "asPrincipal: the principal needs an `id`, as in { id: 'alice', scopes: ['operator.admin'] }.",
    )
  }
  assertKnownOptions('asPrincipal', who, principalTable.names)
  const token = `test_${randomBytes(24).toString('base64url')}`
  const name = `test-${token.slice(5, 13)}`
  const principal: Principal = Object.freeze({
    kind: 'user',
    credentialId: name,
    scopes: [],
    roles: [],
    attributes: {},
    ...who,
    scheme: who.scheme ?? name,
  })
  const bearer = `Bearer ${token}`
  return {
    token,
    principal,
    headers: { authorization: bearer },
    scheme: {
      name: principal.scheme,
      ambient: false,
      challenge: 'Bearer',
      extract: (request) =>
        request.headers.authorization === bearer
          ? { location: 'authorization', credential: { type: 'token', source: 'header', value: token } }
          : undefined,
      claims: (credential) => credential.type === 'token' && credential.value === token,
      verify: () => ({ outcome: 'authenticated', principal }),
    },
  }
}
