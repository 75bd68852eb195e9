import ipaddr from 'ipaddr.js'

/** A network that failures of an address count for. */
export interface Network {
  readonly key: string
  /** Factor on the limit of a single address. */
  readonly factor: number
}

/**
 * The networks of an address, narrowest first, with IPv4-mapped addresses folded.
 *
 * An IPv6 client chooses among 2^64 addresses at will, and often among many /64: these networks are what counts.
 */
export function networksOf(address: string): readonly [Network, ...Network[]] {
  if (!ipaddr.isValid(address)) return [{ key: address.slice(0, 64), factor: 1 }]
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv4') return [{ key: parsed.toString(), factor: 1 }]
  const hex = parsed
    .toByteArray()
    .slice(0, 8)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
  return [
    { key: `${hex}/64`, factor: 1 },
    { key: `${hex.slice(0, 14)}/56`, factor: 2 },
    { key: `${hex.slice(0, 12)}/48`, factor: 4 },
  ]
}

/**
 * The networks of an address for sharing something out fairly, narrowest first: an IPv4 address stands for its /24, too.
 *
 * Failures do not count for a /24, where strangers would lock each other out; a turn that comes later locks out none.
 */
export function sharesOf(address: string): readonly [Network, ...Network[]] {
  const networks = networksOf(address)
  const [{ key }] = networks
  if (!ipaddr.IPv4.isValidFourPartDecimal(key)) return networks
  return [networks[0], { key: `${key.slice(0, key.lastIndexOf('.'))}/24`, factor: 4 }]
}
