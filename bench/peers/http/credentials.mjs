import { hash, randomBytes } from 'node:crypto'

/** As long as a token of Upgate. */
export const token = randomBytes(40).toString('base64url')
export const bearer = [['Authorization', `Bearer ${token}`]]

const digest = (text) => hash('sha256', text, 'base64url')
const known = new Map([[digest(token), { id: 'alice' }]])

/**
 * How an application finds the owner of a token: by its digest, in memory.
 *
 * @param {string} text
 */
export const ownerOf = (text) => known.get(digest(text))

/** A token of an identity provider for the same requests (RS256, 2,048 bits), and what verifies it. */
export async function createJwt() {
  const { audience, createIssuer, issuer } = await import('../../src/access/tokens.mjs')
  const provider = createIssuer()
  return {
    headers: [['Authorization', `Bearer ${provider.token()}`]],
    publicKey: provider.publicKey,
    audience,
    issuer,
  }
}

/** The gate of the other suites; its credentials as headers. */
export async function createUpgate() {
  const { createFixture } = await import('../../src/fixture.mjs')
  const { cookieName } = await import('../../src/headers.mjs')
  const { gate, tokens } = await createFixture()
  return {
    gate,
    key: [['Authorization', `Bearer ${tokens.key}`]],
    session: [
      ['X-Forwarded-Proto', 'https'],
      ['Cookie', `${cookieName}=${tokens.session}`],
    ],
  }
}

/**
 * Puts a gate in front of a framework's own server. The rule for sockets needs an owner, and none is opened.
 *
 * @param {import('node:http').Server} server
 * @param {any} gate
 */
export async function guard(server, gate) {
  const { guardServer } = await import('upgate/ws')
  const { WebSocketServer } = await import('ws')
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('connection', () => {})
  guardServer(server, gate, { sockets: { '/ws': sockets } })
}
