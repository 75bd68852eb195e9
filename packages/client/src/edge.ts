/** The credential for an edge, such as Cloudflare Access, in front of the gate. */
export interface EdgeCredential {
  /** `CF-Access-Client-Id`, such as `88bf...access`. */
  readonly clientId: string
  /** `CF-Access-Client-Secret`. */
  readonly clientSecret: string
  /**
   * `two-headers` (default), or `single-header`: both in `Authorization` as JSON, if the Access application reads them
   * there. The credential of the protocol then cannot be a header.
   */
  readonly form?: 'two-headers' | 'single-header'
}

/** An edge credential, or a function that fetches one. */
export type EdgeSource = EdgeCredential | (() => EdgeCredential | Promise<EdgeCredential>)

/** @throws TypeError for an incomplete or malformed credential; its values are not quoted. */
export function checkEdge(edge: unknown): asserts edge is EdgeCredential {
  const { clientId, clientSecret, form = 'two-headers' } = (edge ?? {}) as Partial<EdgeCredential>
  for (const [name, value] of [
    ['clientId', clientId],
    ['clientSecret', clientSecret],
  ] as const) {
    // RFC 9110 section 5.5: what else is in it would end the header, or be refused by the runtime with its value.
    if (typeof value !== 'string' || !/^[\x21-\x7e]{1,512}$/.test(value)) {
      throw new TypeError(`connect: \`edge.${name}\` must be the text that Cloudflare shows, without spaces.`)
    }
  }
  if (form !== 'two-headers' && form !== 'single-header') {
    throw new TypeError("connect: `edge.form` must be 'two-headers' or 'single-header'.")
  }
}

/** The headers that carry an edge credential. */
export function edgeHeaders({
  clientId,
  clientSecret,
  form,
}: EdgeCredential): Readonly<Record<string, string>> {
  return form === 'single-header'
    ? {
        authorization: JSON.stringify({
          'cf-access-client-id': clientId,
          'cf-access-client-secret': clientSecret,
        }),
      }
    : { 'cf-access-client-id': clientId, 'cf-access-client-secret': clientSecret }
}

/** Whether an address is this computer. Names that merely begin like a loopback address are not. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    // The URL parser has brought decimal, octal and short forms of IPv4 into this one.
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname)
  )
}

/** Whether a header carries a secret of an edge: one of Access's, or its service token in `Authorization`. */
export function isEdgeHeader(name: string, value: string): boolean {
  return (
    name.startsWith('cf-access-') ||
    (name === 'authorization' && /^\s*\{/.test(value)) ||
    (name === 'cookie' && /(?:^|;)\s*CF_(?:Authorization|AppSession)=/.test(value))
  )
}
