import { isIP } from 'node:net'

/** The network of an address: the /24 of IPv4, the /48 of IPv6. Clients without a known address are one network. */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  if (isIP(address) === 4) return address.slice(0, address.lastIndexOf('.'))
  if (isIP(address) !== 6) return 'unknown'
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  while (tail !== undefined && groups.length + rest.length < 8) groups.push('0')
  return [...groups, ...rest].slice(0, 3).join(':')
}
