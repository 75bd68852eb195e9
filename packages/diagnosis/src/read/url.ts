/** The parts of an absolute URL, read without the platform's parser, which not every runtime has. */
export interface UrlParts {
  /** In lower case, without the colon. */
  readonly scheme: string
  /** In lower case, without user information and port. */
  readonly host: string
  readonly port: string
  readonly path: string
  readonly query: string
  readonly fragment: string | undefined
}

/** Reads an absolute URL; `undefined` for a relative or malformed one. */
export function readUrl(text: string | undefined): UrlParts | undefined {
  const found = /^\s*([a-z][a-z\d+.-]*):\/\/([^/?#\\\s]*)([^?#\s]*)(\?[^#\s]*)?(#.*)?\s*$/i.exec(
    text?.slice(0, 8192) ?? '',
  )
  if (found === null) return undefined
  const [, scheme = '', authority = '', path = '', query = '', fragment] = found
  const [, host = '', port = ''] = /^(?:.*@)?(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(authority) ?? []
  if (host === '') return undefined
  return { scheme: scheme.toLowerCase(), host: host.toLowerCase(), port, path: path || '/', query, fragment }
}

/** The value of a query parameter, decoded. */
export function parameter(query: string, name: string): string | undefined {
  for (const pair of query.replace(/^\?/, '').split('&').slice(0, 100)) {
    const [key = '', ...rest] = pair.split('=')
    if (key !== name) continue
    try {
      return decodeURIComponent(rest.join('='))
    } catch {
      return rest.join('=')
    }
  }
  return undefined
}
