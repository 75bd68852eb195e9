import type { RuleOptions } from 'upgate'
import type { Handshake } from 'upgate/ws'
import { scopes } from './scopes.ts'

/** Names of the schemes in the rules. */
export interface SchemeNames {
  /** Scheme of users: the gateway's session, or the identity of the edge. */
  readonly login: string
  readonly device: string
  /** Scheme of devices that prove a key, and pair with it. */
  readonly deviceKey: string
}

/**
 * Creates the rules. A path that is not listed requires a logged-in user. An API key is a service and a device token
 * a device, so each opens only paths with its kind. A paired device with the scope for it may list the connected
 * nodes.
 */
export function createRules(handshake: Handshake, schemes: SchemeNames): readonly RuleOptions[] {
  const people = ['user'] as const
  const programs = ['user', 'service'] as const
  return [
    { path: ['/health', '/assets/*', '/login', '/setup'], access: 'public' },
    { path: '/api/auth/config', methods: ['GET'], access: 'public' },
    { path: ['/api/auth/login', '/api/auth/setup'], methods: ['POST'], access: 'public' },
    // A second log-out is no error.
    { path: ['/logout', '/api/auth/logout'], methods: ['POST'], access: 'optional' },

    // The start page comes first, for HTTP alone: behind a deferred rule, it would be answered 426.
    { path: '/', access: 'required', upgrade: false },
    // An HTTP credential is optional and has to be a device's: a browser's cookie does not make a node.
    // `/` as well: the command `openclaw node run` takes a host and a port, and no path.
    {
      path: ['/ws', '/'],
      access: 'deferred',
      kinds: ['device'],
      schemes: [schemes.device, schemes.deviceKey],
      handshake,
    },
    { path: ['/ws/chat', '/ws/live'], access: 'required', kinds: people, schemes: [schemes.login] },

    { path: '/api/nodes', access: 'required', kinds: [...programs, 'device'], scopes: [scopes.read] },
    {
      path: ['/api/devices', '/api/devices/*', '/api/pairings', '/api/pairings/*'],
      access: 'required',
      kinds: programs,
      scopes: [scopes.pairing],
    },
    { path: ['/api/keys', '/api/keys/*'], access: 'required', kinds: programs, scopes: [scopes.admin] },
    { path: '/api/remote', access: 'required', kinds: programs, scopes: [scopes.admin] },
    { path: '/api/audit', access: 'required', kinds: programs, scopes: [scopes.admin] },
    // Accounts are for people: a program with every scope still makes none.
    { path: ['/api/users', '/api/users/*'], access: 'required', kinds: people, scopes: [scopes.admin] },
    { path: '/api/*', access: 'required', challenge: 'api' },

    { path: '/audit', access: 'required', scopes: [scopes.admin] },
    { path: '/keys', access: 'required', scopes: [scopes.admin] },
    { path: '/users', access: 'required', scopes: [scopes.admin] },
    { path: '/remote', access: 'required', scopes: [scopes.admin] },
    { path: '/nodes', access: 'required', scopes: [scopes.read, scopes.pairing] },
  ]
}
