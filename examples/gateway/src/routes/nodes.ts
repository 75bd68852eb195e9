import type { Express } from 'express'
import type { Context } from '../context.ts'

/** The connected nodes, and the audit trail. */
export function addNodeRoutes(app: Express, context: Context): void {
  app.get('/health', async (_request, response) => {
    // If the database does not answer, this rejects, and the answer is 503.
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
