import type { Credential, Scheme, VerifyContext } from '../../src/core/contract/credential.ts'
import type { AuthRequest } from '../../src/core/contract/request.ts'

export const context: VerifyContext = {
  clientAddress: '192.0.2.1',
  dryRun: false,
  path: '/api',
  origin: undefined,
}

export function request(headers: Record<string, string>, native?: object): AuthRequest {
  return {
    kind: 'http',
    method: 'GET',
    target: '/api',
    headers,
    rawHeaders: Object.entries(headers).flat(),
    encrypted: true,
    native,
  }
}

export function inBand(value: string, hint?: 'device' | 'api-key' | 'shared'): Credential {
  return { type: 'token', source: 'frame', value, hint }
}

/** Answer of a scheme to a request: its outcome or code, or `absent`. */
export async function decide(
  scheme: Scheme,
  headers: Record<string, string>,
  native?: object,
): Promise<string> {
  const found = scheme.extract?.(request(headers, native))
  if (found === undefined) return 'absent'
  const answer = await scheme.verify(found.credential, context)
  return answer.outcome === 'rejected' ? answer.code : answer.outcome
}
