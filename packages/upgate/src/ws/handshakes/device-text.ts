/** OpenClaw lower-cases ASCII only, and trims, before it signs. */
function plain(value: string | undefined): string {
  return (value ?? '').trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** The fields that a device signs in a `connect` request. */
export interface ConnectText {
  readonly deviceId: string
  readonly clientId: string
  readonly mode: string
  readonly role: string
  readonly scopes: readonly string[]
  readonly signedAt: number
  readonly token: string
  readonly nonce: string
  readonly platform: string | undefined
  readonly deviceFamily: string | undefined
}

/**
 * The texts that OpenClaw's clients sign, versions 3 and 2; `undefined` where a field holds what separates fields:
 * such a text could be read in two ways.
 */
export function connectTexts(text: ConnectText): readonly string[] | undefined {
  const { deviceId, clientId, mode, role, scopes, signedAt, token, nonce } = text
  const common = [deviceId, clientId, mode, role, scopes.join(','), String(signedAt), token, nonce]
  const own = [plain(text.platform), plain(text.deviceFamily)]
  if ([...common, ...own].some((field) => field.includes('|'))) return undefined
  if (scopes.some((scope) => scope.includes(','))) return undefined
  return [['v3', ...common, ...own].join('|'), ['v2', ...common].join('|')]
}
