import type { RuleOptions } from 'upgate'
import type { Handshake } from 'upgate/ws'

/** The scope that manages nodes at the front; OpenClaw has the same name for it. */
export const manage = 'operator.admin'

/** The front's own paths; all others belong to the gateway. */
export const own = '/_front'

export interface OpenclawRules {
  readonly handshake: Handshake
  /** Name of the scheme of people. */
  readonly login: string
  /** Names of the schemes of nodes. */
  readonly nodes: readonly string[]
}

/**
 * The rules of an OpenClaw gateway: nodes and the pages of people at `/`, and the two routes that check credentials of
 * their own, short-lived ones. Paths without a rule demand a person.
 */
export function openclawRules({ handshake, login, nodes }: OpenclawRules): readonly RuleOptions[] {
  return [
    // Join links: single use, and an opaque 404 for all others.
    { path: '/j/:code', methods: ['GET'], access: 'public' },
    // Workers bring a credential that the gateway issued to each of them.
    { path: worker, access: 'public', upgrade: 'only' },
    // The start page; without this rule the deferred one would answer it with 426.
    { path: '/', access: 'required', upgrade: false },
    // A page's socket is accepted by its login, at the 101; a node's by its first frame.
    { path: '/', access: 'deferred', kinds: ['user', 'device'], schemes: [login, ...nodes], handshake },
  ]
}

const worker = '/__openclaw__/worker'

/** Whether the gateway checks the credential of a path itself. */
export function isSelfAuthenticated(target: string): boolean {
  return target.split('?', 1)[0] === worker
}

export function createRules(openclaw: OpenclawRules): readonly RuleOptions[] {
  return [
    { path: `${own}/health`, methods: ['GET'], access: 'public' },
    { path: `${own}/login`, methods: ['GET', 'POST'], access: 'public' },
    // A second log-out is no error.
    { path: `${own}/logout`, methods: ['POST'], access: 'optional' },
    { path: `${own}/api/*`, access: 'required', scopes: [manage], challenge: 'api' },
    ...openclawRules(openclaw),
  ]
}
