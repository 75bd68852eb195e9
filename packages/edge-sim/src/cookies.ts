/** The value of the first cookie of this name in a `Cookie` header. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  for (const part of header?.split(';') ?? []) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return undefined
}

/** A `Cookie` header with every cookie of this name replaced by one with the given value. */
export function withCookie(header: string | undefined, name: string, value: string): string {
  const others = (header?.split(';') ?? [])
    .map((part) => part.trim())
    .filter((part) => part !== '' && part.split('=', 1)[0]?.trim() !== name)
  return [...others, `${name}=${value}`].join('; ')
}

/** A `Set-Cookie` value for the whole host; `Secure` except where loopback URLs are plain HTTP. */
export function setCookie(name: string, value: string, maxAge: number, secure: boolean): string {
  return `${name}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
}
