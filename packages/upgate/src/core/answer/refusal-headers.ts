import { nameOf } from '../options/check-options.ts'

/** Headers that the gate, the protocol or the server decides. */
const reserved =
  /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-length|content-type|date|location|retry-after|set-cookie|www-authenticate|upgate-refusal|vary|allow|sec-websocket-.*|access-control-.*)$/

/**
 * Reads the option `refusalHeaders`: headers of the application for every refusal, such as those that helmet sets on its own
 * answers.
 *
 * @throws TypeError for a name or value that is no header (RFC 9110 section 5), and for a header that the gate decides
 */
export function readRefusalHeaders(
  headers: Readonly<Record<string, string>> | undefined,
): readonly (readonly [string, string])[] {
  return Object.entries(headers ?? {}).map(([name, value]) => {
    const entry = `createGate: \`refusalHeaders[${JSON.stringify(name.slice(0, 64))}]\``
    if (!/^[!#$%&'*+\-.^_`|~\w]{1,128}$/.test(name)) throw new TypeError(`${entry} is no header name.`)
    if (reserved.test(name.toLowerCase())) {
      throw new TypeError(
        `${entry} is decided by the gate or the protocol; leave it out. Headers such as Strict-Transport-Security or Referrer-Policy belong here.`,
      )
    }
    if (typeof value !== 'string' || !/^[\t\x20-\x7e]{0,4096}$/.test(value)) {
      throw new TypeError(
        `${entry} must be a line of printable ASCII without line breaks, not ${typeof value === 'string' ? 'that' : nameOf(value)}.`,
      )
    }
    return [name, value] as const
  })
}
