import type { ServerResponse } from 'node:http'
import type { Answer } from './answer.ts'

/** Headers of the origin's answer that end at the edge. */
const NOT_RETURNED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'transfer-encoding',
  'upgrade',
  'server',
])

/** The headers that every answer through the edge carries. */
export function edgeHeaders(ray: string): string[] {
  return ['Server', 'cloudflare', 'CF-RAY', ray]
}

/** Writes an answer of the edge's own. */
export function writeAnswer(response: ServerResponse, method: string, ray: string, answer: Answer): void {
  const body = Buffer.from(answer.body)
  const headers = [...edgeHeaders(ray), 'Content-Length', String(body.length)]
  for (const [name, value] of answer.headers) headers.push(name, value)
  response.writeHead(answer.status, headers)
  response.end(method === 'HEAD' ? undefined : body)
}

/** The origin's headers as they go back to the client, without the hop-by-hop ones, with the edge's own. */
export function returnedHeaders(
  rawHeaders: readonly string[],
  ray: string,
  setCookies: readonly string[],
): string[] {
  const out = edgeHeaders(ray)
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const key = name.toLowerCase()
    if (!NOT_RETURNED.has(key) && key !== 'cf-ray') out.push(name, rawHeaders[index + 1] ?? '')
  }
  for (const cookie of setCookies) out.push('Set-Cookie', cookie)
  return out
}
