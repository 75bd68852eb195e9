import { createServer } from 'node:http'
import { createJwt, createUpgate } from './credentials.mjs'

const answer = (_request, response) => response.end('ok')

/** fast-jwt as its documentation uses it, before the handler. */
async function fastJwt(cache) {
  const { createVerifier } = await import('fast-jwt')
  const { headers, publicKey, audience, issuer } = await createJwt()
  const verify = createVerifier({
    key: publicKey,
    algorithms: ['RS256'],
    allowedAud: audience,
    allowedIss: issuer,
    cache,
  })
  const server = createServer((request, response) => {
    try {
      request.user = verify(request.headers.authorization.slice(7))
    } catch {
      response.statusCode = 401
      response.end()
      return
    }
    answer(request, response)
  })
  return { server, headers }
}

export const createServers = {
  async 'upgate-session'() {
    const { httpGate } = await import('upgate/node')
    const { gate, session } = await createUpgate()
    return { server: createServer(httpGate(gate, answer)), headers: session }
  },
  'fast-jwt': () => fastJwt(false),
  'fast-jwt-cache': () => fastJwt(10_000),
}
