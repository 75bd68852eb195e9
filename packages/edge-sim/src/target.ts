/** Decodes `%41` but not `%2F`: only octets that mean the same either way (RFC 3986, section 2.3). */
function decodeUnreserved(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, (octet) => {
    const character = String.fromCharCode(Number.parseInt(octet.slice(1), 16))
    return /[A-Za-z0-9\-._~]/.test(character) ? character : octet
  })
}

/**
 * The path by which the edge matches applications: no query, no dot segments, no doubled slashes.
 *
 * The edge forwards the target as received, so tests can show an origin that reads it differently.
 */
export function normalPath(target: string): string {
  const raw = target.split(/[?#]/, 1)[0] ?? ''
  const out: string[] = []
  const parts = decodeUnreserved(raw.replaceAll('\\', '/')).split('/')
  parts.forEach((part, index) => {
    if (part === '..') out.pop()
    // Empty segments disappear, except a last one: a trailing slash is significant.
    else if (part !== '.' && (part !== '' || index === parts.length - 1)) out.push(part)
  })
  return `/${out.join('/')}`
}

/** The query string without its question mark, as parameters. */
export function queryOf(target: string): URLSearchParams {
  const at = target.indexOf('?')
  return new URLSearchParams(at < 0 ? '' : target.slice(at + 1))
}

/** Whether `path` is `prefix` or lies below it, by whole segments. */
export function isUnder(path: string, prefix: string): boolean {
  return prefix === '/' || path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`)
}

/**
 * Whether a value may be sent as a redirect back into an application: a path on the same host, nothing else.
 *
 * `//evil.example`, `/\evil.example`, tabs and line ends inside, and absolute URLs are all ways off the host.
 */
export function isLocalPath(value: string): boolean {
  // Printable ASCII only: browsers drop tabs and line ends inside URLs, and read a backslash as a slash.
  return value.length <= 4096 && /^\/(?!\/)[\x21-\x5b\x5d-\x7e]*$/.test(value)
}
