/**
 * Whether an offered subprotocol looks like a token rather than a name: a known prefix, the start of a JWT, or
 * longer than 64 characters.
 */
export function looksLikeSecret(name: string): boolean {
  return name.length > 64 || /^(?:ug[a-z]_|mk_|mdt_|eyJ|base64url\.bearer\.|bearer[._])/i.test(name)
}

/** The offered subprotocols without those that are secrets; `undefined` when nothing is left. */
export function withoutSecrets(offered: string, isSecret: (name: string) => boolean): string | undefined {
  const names = offered.split(',')
  const kept = names.filter((name) => !isSecret(name.trim()))
  if (kept.length === names.length) return offered
  return kept.length === 0 ? undefined : kept.join(',')
}
