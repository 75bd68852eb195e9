import type { IncomingMessage } from 'node:http'

const MAX_FORM_BYTES = 8 * 1024

/** Reads a URL-encoded form of at most 8 KiB; `undefined` if it is anything else, or cut off. */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  if (!request.headers['content-type']?.toLowerCase().startsWith('application/x-www-form-urlencoded'))
    return undefined
  const parts: Buffer[] = []
  let size = 0
  try {
    // Leaving the loop must not destroy the socket: the refusal still has to be written to it.
    for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += part.length
      if (size > MAX_FORM_BYTES) return undefined
      parts.push(part)
    }
  } catch {
    return undefined
  }
  return new URLSearchParams(Buffer.concat(parts).toString('utf8'))
}
