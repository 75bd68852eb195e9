/**
 * How the client of one protocol gets in: its frames, and the sign that it was accepted.
 *
 * @typedef {object} Dialect
 * @property {string} path
 * @property {readonly (readonly [name: string, value: string])[]} [headers] Of the upgrade, besides the usual ones
 * @property {(token: string) => readonly [name: string, value: string]} [header] The credential as a header of the upgrade
 * @property {string} [greeting] Part of the frame that the server sends first
 * @property {(token: string, greeting: string) => string} [credential] The frame with the credential
 * @property {string} [accepted] Part of the frame that accepts the client; the 101 where there is none
 */

/** @type {Readonly<Record<string, Dialect>>} */
export const dialects = {
  upgate: {
    path: '/ws',
    credential: (token) => JSON.stringify({ type: 'auth', token }),
    accepted: 'auth_ok',
  },
  header: {
    path: '/ws',
    header: (token) => ['Authorization', `Bearer ${token}`],
  },
  'socket.io': {
    path: '/socket.io/?EIO=4&transport=websocket',
    // Packet 0 opens the transport; packet 4 0 connects the client, with its `auth` payload.
    greeting: '0{"sid"',
    credential: (token) => `40${JSON.stringify({ token })}`,
    accepted: '40{"sid"',
  },
  'graphql-ws': {
    path: '/graphql',
    headers: [['Sec-WebSocket-Protocol', 'graphql-transport-ws']],
    credential: (token) => JSON.stringify({ type: 'connection_init', payload: { token } }),
    accepted: 'connection_ack',
  },
  openclaw: {
    path: '/',
    greeting: 'connect.challenge',
    credential: (token) =>
      JSON.stringify({
        type: 'req',
        id: '1',
        method: 'connect',
        params: {
          ...{ minProtocol: 3, maxProtocol: 4, role: 'operator', scopes: [], caps: [], auth: { token } },
          client: { id: 'gateway-client', version: '1', platform: 'linux', mode: 'backend' },
        },
      }),
    accepted: 'hello-ok',
  },
}
