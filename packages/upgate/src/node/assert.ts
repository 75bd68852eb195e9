import { nameOf } from '../core/options/check-options.ts'

/** Throws where something that is no request of Node's is handed over. */
export function assertRequest(request: unknown, where: string): void {
  const { headers, rawHeaders, method } = (request ?? {}) as {
    headers?: unknown
    rawHeaders?: unknown
    method?: unknown
  }
  if (
    typeof headers !== 'object' ||
    headers === null ||
    !Array.isArray(rawHeaders) ||
    typeof method !== 'string'
  ) {
    throw new TypeError(
      `${where}: the request must be Node's own; of Express it is \`req\`, of Koa \`ctx.req\`, not ${nameOf(request)}.`,
    )
  }
}
