import { request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { refusalOf } from './allowed-address.ts'
import { readBody } from './read-body.ts'
import type { SocketOptions } from './transport.ts'

/** The largest body, in characters; the rest is cut. */
const longest = 262_144

/**
 * A `fetch` over the same agent, look-up, authorities and allowed addresses as the sockets. It follows no redirect, cuts
 * long bodies, and presents the client's certificate unless `credentials` is `omit`.
 */
export function createFetch(options: SocketOptions): typeof fetch {
  const { maxPayload: _, allowAddress, agent, lookup, ca, cert, key } = options
  return async (input, init = {}) => {
    const url = new URL(String(input))
    const { method = 'GET', headers, body, signal, credentials } = init
    const refused = refusalOf(url, allowAddress)
    if (refused !== undefined) throw failure(refused)
    const settings: RequestOptions = {
      method,
      headers: Object.fromEntries(new Headers(headers)),
      ...(signal !== undefined && signal !== null && { signal }),
      ...(agent !== undefined && { agent }),
      ...(lookup !== undefined && { lookup }),
      ...(ca !== undefined && { ca }),
      ...(credentials !== 'omit' && {
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
      }),
    }
    return await new Promise<Response>((resolve, reject) => {
      const sent = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, settings)
      sent.on('error', (error) => reject(failure(error)))
      sent.on('response', (response) => {
        void readBody(response, longest).then((text) => {
          try {
            const { statusCode: status = 0 } = response
            const empty = method === 'HEAD' || [204, 205, 304].includes(status)
            resolve(new Response(empty ? null : text, { status, headers: pairs(response.rawHeaders) }))
          } catch (error) {
            // A status or a header that no `Response` may have.
            reject(failure(error))
          }
        })
      })
      sent.end(typeof body === 'string' ? body : undefined)
    })
  }
}

function pairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1] ?? '']] : []) as [string, string][])
}

/** As the global `fetch` fails: the cause has the code. */
function failure(cause: unknown): TypeError {
  return new TypeError('fetch failed', { cause })
}
