import { inTime } from '../../core/async/in-time.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { CloudflareAccessOptions } from './types.ts'

const maxBytes = 1_048_576 // 1 MiB, as cloudflared allows

/**
 * Answer to a fetch: a status with its JSON, or the reason for the failure. Never holds anything that was
 * sent.
 */
export type Fetched =
  | {
      readonly outcome: 'answered'
      readonly status: number
      readonly json: unknown
      /** Milliseconds since the epoch by the clock of the server that answered, to the second; `NaN` without a Date. */
      readonly date: number
    }
  | { readonly outcome: 'failed'; readonly reason: string }

/**
 * Fetches JSON within bounds of time and size, without following redirects. Never rejects.
 *
 * A redirect would let an attacker that controls one path of the origin choose our keys, or collect the
 * cookie sent along.
 */
export async function fetchJson(
  url: string,
  headers: Readonly<Record<string, string>>,
  timeout: number,
  fetch: NonNullable<CloudflareAccessOptions['fetch']>,
  clock: Clock,
): Promise<Fetched> {
  const abort = new AbortController()
  // Race the time-out instead of only aborting: an injected fetch may ignore the signal.
  return inTime(exchange(url, headers, fetch, abort), timeout, clock, () => {
    abort.abort()
    return { outcome: 'failed', reason: 'no complete answer in time' }
  })
}

async function exchange(
  url: string,
  headers: Readonly<Record<string, string>>,
  fetch: NonNullable<CloudflareAccessOptions['fetch']>,
  abort: AbortController,
): Promise<Fetched> {
  try {
    const response = await fetch(url, {
      method: 'GET',
      headers: { accept: 'application/json', ...headers },
      redirect: 'manual',
      credentials: 'omit',
      signal: abort.signal,
    })
    const { status } = response
    const date = Date.parse(response.headers.get('date') ?? '')
    const settle = (fetched: Fetched): Fetched => {
      void response.body?.cancel().catch(() => {})
      return fetched
    }
    if (response.redirected || response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
      return settle({ outcome: 'failed', reason: 'answered with a redirect, which is not followed' })
    }
    if (status !== 200) return settle({ outcome: 'answered', status, json: undefined, date })
    const text = await readText(response, abort)
    if (text === undefined) return { outcome: 'failed', reason: 'the answer is larger than 1 MiB' }
    try {
      return { outcome: 'answered', status, json: JSON.parse(text) as unknown, date }
    } catch {
      return { outcome: 'failed', reason: 'the answer is not JSON' }
    }
  } catch (error) {
    const code = (error as { cause?: { code?: unknown } } | null)?.cause?.code
    return { outcome: 'failed', reason: typeof code === 'string' ? `no answer (${code})` : 'no answer' }
  }
}

async function readText(response: Response, abort: AbortController): Promise<string | undefined> {
  if (response.body === null) return ''
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength
    // Leaving the loop cancels the body. Aborting first would turn that into an error and hide the reason.
    if (size > maxBytes) break
    chunks.push(chunk)
  }
  if (size > maxBytes) {
    abort.abort()
    return undefined
  }
  return Buffer.concat(chunks).toString('utf8')
}
