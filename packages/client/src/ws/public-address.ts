import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** RFC 4291 section 2.4: all public addresses of IPv6 are in it. */
const globalUnicast = ipaddr.IPv6.parse('2000::')
/** RFC 6052 section 2.1. The last 32 bits are an address of IPv4, and packets go there. */
const nat64 = ipaddr.IPv6.parse('64:ff9b::')

/**
 * Whether an address is one of the public internet. Addresses of this computer and of inner networks are not: loopback,
 * private, link-local, shared (100.64.0.0/10), multicast, reserved and documentation ranges. An address of IPv6 that holds
 * one of IPv4 counts as the one inside if packets go there (mapped, NAT64), and as not public otherwise (6to4, Teredo,
 * IPv4-compatible, NAT64 of a site).
 *
 * @param address an address as the resolver or `socket.remoteAddress` gives it; any other text is not public
 * @example
 * isPublicAddress('169.254.169.254') // false
 * isPublicAddress('::ffff:8.8.8.8') // true
 */
export function isPublicAddress(address: string): boolean {
  // The library also reads decimal, octal and short forms; which of them a system connects to differs.
  // It takes `::8.8.8.8` for a mapped address; systems do not.
  if (typeof address !== 'string' || isIP(address) === 0 || /^::\d+\.\d/.test(address)) return false
  return isPublic(ipaddr.parse(address))
}

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (address instanceof ipaddr.IPv4) return address.range() === 'unicast'
  if (address.isIPv4MappedAddress()) return address.toIPv4Address().range() === 'unicast'
  if (address.match(nat64, 96)) {
    return new ipaddr.IPv4(address.toByteArray().slice(12)).range() === 'unicast'
  }
  return address.match(globalUnicast, 3) && address.range() === 'unicast'
}
