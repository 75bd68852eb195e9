import type { IncomingMessage } from 'node:http'
import { fileURLToPath } from 'node:url'
import express, { type Express, type RequestHandler } from 'express'
import helmet from 'helmet'
import type { Context } from './context.ts'
import { bodyLimit } from './http/body.ts'
import { createErrorHandler, notFound } from './http/errors.ts'
import { servePageModules } from './page-modules.ts'
import { addAccountRoutes } from './routes/account.ts'
import { addAuthRoutes } from './routes/auth.ts'
import { addDeviceRoutes } from './routes/devices.ts'
import { addKeyRoutes } from './routes/keys.ts'
import { addNodeRoutes } from './routes/nodes.ts'
import { addPageRoutes } from './routes/pages.ts'
import { addPairingRoutes } from './routes/pairings.ts'
import { addRemoteRoutes } from './routes/remote.ts'
import { addSessionRoutes } from './routes/sessions.ts'
import { addUserRoutes } from './routes/users.ts'

/** Style sheet, icon and page modules; the path is the same from `src` and from `dist`. */
const assets = fileURLToPath(new URL('../public/', import.meta.url))

export interface AppOptions {
  readonly context: Context
  /** The gate as middleware, in front of all routes. */
  readonly guard: RequestHandler
  /** Origins of the pages, for the Content Security Policy. */
  readonly origins: readonly string[]
  log(message: string): void
  /** Called for every request, before the gate. */
  watch(request: IncomingMessage): void
}

/** The Express application. */
export function createApp({ context, guard, origins, log, watch }: AppOptions): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  // The router has to read paths as the rules do.
  app.enable('case sensitive routing')
  app.enable('strict routing')
  app.use((request, _response, next) => {
    watch(request)
    next()
  })
  app.use(guard)
  app.use(securityHeaders(origins))
  app.use(servePageModules())
  app.use(
    '/assets',
    express.static(assets, { index: false, redirect: false, etag: true, maxAge: 0, fallthrough: true }),
  )
  // All other answers are personal and may contain secrets.
  app.use((_request, response, next) => {
    response.set('cache-control', 'no-store')
    next()
  })
  app.use('/api', express.json({ limit: bodyLimit, strict: true }))
  addAuthRoutes(app, context)
  addNodeRoutes(app, context)
  addDeviceRoutes(app, context)
  addPairingRoutes(app, context)
  addKeyRoutes(app, context)
  addSessionRoutes(app, context)
  addAccountRoutes(app, context)
  addUserRoutes(app, context)
  addRemoteRoutes(app, context)
  addPageRoutes(app, context)
  app.use(notFound)
  app.use(createErrorHandler(log))
  return app
}

function securityHeaders(origins: readonly string[]): RequestHandler {
  const encrypted = origins.every((origin) => origin.startsWith('https://'))
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        // Older browsers do not count ws: and wss: of the same host as 'self'.
        connectSrc: ["'self'", ...origins.map((origin) => origin.replace(/^http/, 'ws'))],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
    },
    frameguard: { action: 'deny' },
    strictTransportSecurity: encrypted,
    // With `no-referrer`, browsers send `Origin: null` with forms, and the gate would refuse the gateway's own forms.
    referrerPolicy: { policy: 'same-origin' },
    // Pages served over plain http on a LAN are not isolated, and browsers complain about the header there.
    originAgentCluster: encrypted,
    crossOriginOpenerPolicy: encrypted && { policy: 'same-origin' },
  })
}
