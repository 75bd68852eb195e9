import type { Express } from 'express'
import type { Context } from '../context.ts'

/** Who is connected, and what happened. */
export function addNodeRoutes(app: Express, context: Context): void {
  app.get('/health', async (_request, response) => {
    // A database that does not answer rejects here, and the answer is 503.
    await context.services.accounts.any()
    response.json({ status: 'ok' })
  })

  app.get('/api/nodes', (_request, response) => {
    response.json({ nodes: context.nodes.list() })
  })

  app.get('/api/audit', (_request, response) => {
    response.json({ lines: context.audit.list() })
  })
}
