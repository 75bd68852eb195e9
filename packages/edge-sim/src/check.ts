const HOST_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** Throws a `TypeError` that names every key of `value` that is not in `known`. */
export function onlyKnown(what: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null) throw new TypeError(`${what} must be an object`)
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw new TypeError(`${what}.${key} is unknown; known: ${known.join(', ')}`)
  }
}

/** Returns `value` if it is an integer in the range, else throws a `TypeError` that names the option. */
export function integer(what: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new TypeError(`${what} must be an integer from ${min} to ${max}, got ${String(value)}`)
  }
  return value
}

/** Returns `value` if it is a boolean, else throws a `TypeError` that names the option. */
export function flag(what: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${what} must be true or false, got ${String(value)}`)
  return value
}

/** Returns `value` if it is a host name or address without a port (`*.` allowed when asked), else throws. */
export function hostName(what: string, value: unknown, wildcard = false): string {
  const text = typeof value === 'string' ? value.toLowerCase() : ''
  const plain = wildcard && text.startsWith('*.') ? text.slice(2) : text
  if (plain.length > 253 || !plain.split('.').every((label) => HOST_LABEL.test(label))) {
    throw new TypeError(`${what} must be a host name without scheme or port, got ${JSON.stringify(value)}`)
  }
  return text
}

/** Returns `value` if it is one of `choices`, else throws a `TypeError` that names the option. */
export function oneOf<T extends string>(what: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value)
  if (found === undefined)
    throw new TypeError(`${what} must be one of ${choices.join(', ')}, got ${String(value)}`)
  return found
}

/** Returns the parsed upstream if it is a plain-HTTP loopback origin, else throws a `TypeError`. */
export function loopbackOrigin(what: string, value: unknown): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  const loopback = url !== undefined && isLoopback(url.hostname)
  if (url?.protocol !== 'http:' || !loopback || url.pathname !== '/' || url.search !== '') {
    throw new TypeError(
      `${what} must be a loopback origin such as http://127.0.0.1:8787, got ${JSON.stringify(value)}; ` +
        'the simulator trusts nobody on the network and therefore never leaves the machine',
    )
  }
  return url
}

/** Whether a host name means this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
