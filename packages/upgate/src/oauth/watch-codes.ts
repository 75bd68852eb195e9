import type { IncomingMessage, ServerResponse } from 'node:http'
import { checkMethods } from '../core/options/check-options.ts'
import { fn, text, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import { pathOf } from '../core/request/target.ts'
import type { CodeWatch } from './code-watch.ts'

/** Options of {@link watchCodes}. Unknown options throw. */
export interface WatchCodesOptions {
  /**
   * Path whose redirects carry codes. Those of paths below it count, too: some servers go on at
   * `/oauth/authorize/<id>` once the user has agreed. There the client is `unknown`, unless the URL says `client_id`.
   */
  readonly authorize: string
  /** Path where codes are redeemed. */
  readonly token: string
  /** Finds the code in a token request once it was answered. Default: `request.body.code`, as body parsers leave it. */
  readonly codeOf?: (request: IncomingMessage) => unknown
}

const watchCodesOptions = optionTable<WatchCodesOptions>()({
  authorize: text('a path', /^\//),
  token: text('a path', /^\//),
  codeOf: withDefault(
    fn(),
    (request: IncomingMessage) => (request as { body?: { code?: unknown } }).body?.code,
  ),
})

/**
 * Middleware that tells a {@link CodeWatch} of codes issued and redeemed, by watching two paths from outside.
 *
 * It only looks: at the `Location` of redirects from `authorize`, and at token requests that were answered 200.
 * Where the authorization server has events of its own, prefer those.
 *
 * @param watch - gets the codes; {@link createCodeWatch} makes it
 * @param options - `authorize` and `token` are required
 * @returns middleware for Express and Connect
 * @throws TypeError for an unknown option
 * @example
 * app.use(watchCodes(watch, { authorize: '/oauth/authorize', token: '/oauth/token' }))
 */
export function watchCodes(
  watch: CodeWatch,
  options: WatchCodesOptions,
): (request: IncomingMessage, response: ServerResponse, next: () => void) => void {
  checkMethods('watchCodes', 'watch', watch, ['issued', 'redeemed'], 'what createCodeWatch() returns')
  const { authorize, token, codeOf } = watchCodesOptions.read('watchCodes', options)
  const below = authorize.endsWith('/') ? authorize : `${authorize}/`
  return (request, response, next) => {
    const target = (request as { originalUrl?: string }).originalUrl ?? request.url ?? ''
    const path = pathOf(target)
    if (path === authorize || path.startsWith(below)) {
      const location = locationOf(response)
      response.once('finish', () => noteIssued(watch, target, response.statusCode, location()))
    } else if (path === token && request.method === 'POST') {
      response.once('finish', () => {
        if (response.statusCode !== 200) return
        const code = codeOf(request)
        if (typeof code === 'string' && code !== '') watch.redeemed(code)
      })
    }
    next()
  }
}

/** Reads where a response redirects to, once it is out; headers handed to `writeHead` never show up in `getHeader`. */
function locationOf(response: ServerResponse): () => unknown {
  let written: unknown
  const writeHead = response.writeHead
  response.writeHead = function observed(this: ServerResponse, ...values: unknown[]): ServerResponse {
    const headers = values.at(-1)
    if (Array.isArray(headers)) {
      const at = headers.findIndex((name, i) => i % 2 === 0 && String(name).toLowerCase() === 'location')
      if (at !== -1) written = headers[at + 1]
    } else if (typeof headers === 'object' && headers !== null) {
      for (const [name, value] of Object.entries(headers))
        if (name.toLowerCase() === 'location') written = value
    }
    return Reflect.apply(writeHead, this, values)
  } as typeof writeHead
  return () => written ?? response.getHeader('location')
}

function noteIssued(watch: CodeWatch, target: string, status: number, location: unknown): void {
  if (status < 300 || status > 399 || typeof location !== 'string') return
  const code = parametersOf(location).get('code')
  const clientId = parametersOf(target).get('client_id')
  if (code) watch.issued(code, clientId ?? 'unknown')
}

/** Parameters of a URL, from its query or (response_mode=fragment) from its fragment. */
function parametersOf(url: string): URLSearchParams {
  const query = url.indexOf('?')
  const fragment = url.indexOf('#')
  const end = fragment > query ? fragment : url.length
  const found = new URLSearchParams(query === -1 ? '' : url.slice(query + 1, end))
  if (fragment !== -1)
    for (const [name, value] of new URLSearchParams(url.slice(fragment + 1))) found.append(name, value)
  return found
}
