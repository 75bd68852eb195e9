import type { AuthRequest } from '../contract/request.ts'

/**
 * The same request without some of its headers, for functions that must not see them. The adapter makes it where it
 * can, so that the host's own request object lacks them as well; otherwise that object is withheld.
 *
 * @param isHidden - whether a header is left out, by its name in lower case
 */
export function hideHeaders(request: AuthRequest, isHidden: (name: string) => boolean): AuthRequest {
  if (request.without !== undefined) return request.without(isHidden)
  const { kind, method, target, rewrittenTarget, peerAddress, socketPath, encrypted } = request
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !isHidden(name)))
  const rawHeaders = withoutRaw(request.rawHeaders, isHidden)
  return { kind, method, target, rewrittenTarget, headers, rawHeaders, peerAddress, socketPath, encrypted }
}

/** A list of names and values alternating, without some of the names. */
export function withoutRaw(rawHeaders: readonly string[], isHidden: (name: string) => boolean): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (!isHidden(name.toLowerCase())) kept.push(name, rawHeaders[i + 1] as string)
  }
  return kept
}
