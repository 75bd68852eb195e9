import { type LookupAddress, lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

const inner = new BlockList()
for (const [net, bits] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['0.0.0.0', 8],
] as const)
  inner.addSubnet(net, bits, 'ipv4')
for (const [net, bits] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const)
  inner.addSubnet(net, bits, 'ipv6')

/** Whether an address is inside this computer's networks; IPv4 inside IPv6 counts as IPv4. */
export function isInner(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
  const family = isIP(mapped)
  return family === 0 ? false : inner.check(mapped, family === 6 ? 'ipv6' : 'ipv4')
}

/**
 * A look-up that finds no inner addresses: documents of a server must not lead the doctor into its user's network. The
 * address that was checked is the one connected to.
 */
export const outerLookup: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error !== null) return callback(error, '', 0)
    const outer = addresses.filter(({ address }) => !isInner(address))
    const [first] = outer
    if (first === undefined) {
      const refused: NodeJS.ErrnoException = new Error('The name leads into an inner network.')
      refused.code = 'EINNER'
      return callback(refused, '', 0)
    }
    if (options.all === true) callback(null, outer)
    else callback(null, first.address, first.family)
  })
}
