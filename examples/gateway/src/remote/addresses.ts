import { BlockList, isIP } from 'node:net'
import { isPublicAddress } from '@upgate/client'

/** The networks that have a name in `REMOTE_ALLOW`, as in `TRUST_PROXY`. */
const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/**
 * Whether this gateway may connect to an address: public ones, and those that the operator allows. A user who sets the URL
 * must not reach servers in the gateway's own network through it.
 *
 * @param allowed addresses, CIDR ranges, `loopback` or `private`; already checked
 */
export function allowedAddresses(allowed: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const entry of allowed.flatMap((name) => named[name] ?? [name])) {
    const [address = '', bits] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    list.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family)
  }
  return (address) => {
    if (isPublicAddress(address)) return true
    const family = isIP(address)
    // An interface behind the address (`fe80::1%eth0`) is nothing that a range names.
    if (family === 0 || address.includes('%')) return false
    return list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}
