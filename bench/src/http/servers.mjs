import { createServer } from 'node:http'
import { digest } from '../fixture.mjs'

/**
 * @typedef {'http' | 'express' | 'koa'} Framework
 * @typedef {'bare' | 'hand' | 'gate'} Guard No guard; a public path and sha256 + Map by hand; Upgate
 * @typedef {Awaited<ReturnType<typeof import('../fixture.mjs').createFixture>>} Fixture
 */

const body = 'ok'

/**
 * The smallest guard with one public path; every other path needs a known token.
 *
 * @param {Fixture} fixture
 * @returns {(path: string | undefined, authorization: string | undefined) => object | undefined}
 */
function createHandGuard({ known }) {
  const open = new Map([['/health', {}]])
  return (path, authorization) => {
    const anyone = open.get(path ?? '')
    if (anyone !== undefined) return anyone
    if (!authorization?.startsWith('Bearer ')) return undefined
    const found = known.get(digest(authorization.slice(7)))
    return found !== undefined && found.expiresAt > Date.now() ? found : undefined
  }
}

/**
 * A server that answers GET /health and GET /api/items with two bytes.
 *
 * @param {Framework} framework
 * @param {Guard} guard
 * @param {Fixture} fixture
 * @returns {Promise<import('node:http').Server>}
 */
export async function createHttpServer(framework, guard, fixture) {
  const check = createHandGuard(fixture)
  const { gate } = fixture
  switch (framework) {
    // Loads only the measured framework.
    case 'http': {
      const { httpGate } = await import('upgate/node')
      /** @type {import('node:http').RequestListener} */
      const answer = (_request, response) => {
        response.end(body)
      }
      if (guard === 'bare') return createServer(answer)
      if (guard === 'gate') return createServer(httpGate(gate, answer))
      return createServer((request, response) => {
        const principal = check(request.url, request.headers.authorization)
        if (principal === undefined) {
          response.statusCode = 401
          response.end()
          return
        }
        Object.assign(request, { principal })
        answer(request, response)
      })
    }
    case 'express': {
      const { default: express } = await import('express')
      const { expressGate } = await import('upgate/express')
      const app = express()
      if (guard === 'gate') app.use(expressGate(gate))
      if (guard === 'hand') {
        app.use((/** @type {any} */ request, /** @type {any} */ response, /** @type {any} */ next) => {
          const principal = check(request.url, request.headers.authorization)
          if (principal === undefined) {
            response.status(401).end()
            return
          }
          request.principal = principal
          next()
        })
      }
      for (const path of ['/health', '/api/items']) {
        app.get(path, (/** @type {any} */ _request, /** @type {any} */ response) => response.end(body))
      }
      return createServer(app)
    }
    case 'koa': {
      const { default: Koa } = await import('koa')
      const { koaGate } = await import('upgate/koa')
      const app = new Koa()
      if (guard === 'gate') app.use(koaGate(gate))
      if (guard === 'hand') {
        app.use((/** @type {any} */ context, /** @type {any} */ next) => {
          const principal = check(context.url, context.req.headers.authorization)
          if (principal === undefined) {
            context.status = 401
            return
          }
          context.state.principal = principal
          return next()
        })
      }
      app.use((/** @type {any} */ context) => {
        context.body = body
      })
      return createServer(app.callback())
    }
  }
}
