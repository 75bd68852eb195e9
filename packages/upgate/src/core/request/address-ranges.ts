import ipaddr from 'ipaddr.js'
import { nameOf, wrongEntry } from '../options/check-options.ts'
import { cloudflareNetworks } from './cloudflare-networks.ts'

export type Address = ipaddr.IPv4 | ipaddr.IPv6
/** A network: an address and the length of its prefix. */
export type Range = readonly [Address, number]

/** The networks that have a name in options. */
const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fe80::/10'],
  cloudflare: cloudflareNetworks,
}

/**
 * Parses an entry of a list of addresses, networks and names of networks; throws a `TypeError` that quotes the
 * entry.
 */
export function parseRanges(where: string, option: string, entry: unknown): readonly Range[] {
  const texts: readonly unknown[] =
    typeof entry === 'string' && Object.hasOwn(named, entry) ? (named[entry] ?? []) : [entry]
  return texts.map((text) => parseRange(where, option, text))
}

/** Parses an address or a network; throws a `TypeError` that quotes it. */
export function parseRange(where: string, option: string, entry: unknown): Range {
  const shown = typeof entry === 'string' ? JSON.stringify(entry) : nameOf(entry)
  const fail = (): never => {
    throw wrongEntry(
      where,
      option,
      entry,
      "write addresses, CIDR ranges, 'loopback', 'private' or 'cloudflare'",
    )
  }
  if (typeof entry !== 'string') return fail()
  const [text = '', bits, ...rest] = entry.split('/')
  const address = parseAddress(text)
  // `10.0` and `010.0.0.1` are addresses to some: others than those that were meant.
  if (address === undefined || rest.length > 0 || text.includes('%')) return fail()
  if (!text.includes(':') && parseIPv4(text) === -1) return fail()
  const mapped = text.includes(':') && address.kind() === 'ipv4'
  const longest = address.kind() === 'ipv4' ? 32 : 128
  if (bits === undefined) return [address, longest]
  // Peers with IPv4-mapped addresses are read as what they map, and so are ranges.
  const length = /^\d{1,3}$/.test(bits) ? Number(bits) - (mapped ? 96 : 0) : -1
  if (length < 0 || length > longest) return fail()
  const network = networkOf(address, length)
  // `10.0.0.1/8` may be meant for one address, or for a network of 16 million.
  if (network !== address.toString()) {
    throw new TypeError(
      `${where}: \`${option}\` has ${shown}, an address within a network. Write '${address}' for this one address, or '${network}/${length}' for the whole network.`,
    )
  }
  return [address, length]
}

/** The first address of the network of an address. */
function networkOf(address: Address, length: number): string {
  const bytes = address
    .toByteArray()
    .map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))))
  return ipaddr.fromByteArray(bytes).toString()
}

/** Whether an address is in one of some networks. */
export function isWithin(address: Address, ranges: readonly Range[]): boolean {
  return ranges.some(
    ([network, length]) =>
      network.kind() === address.kind() && address.match(network as never, length as never),
  )
}

/** Whether two networks have an address in common. */
export function overlap([a, aLength]: Range, [b, bLength]: Range): boolean {
  return a.kind() === b.kind() && a.match(b as never, Math.min(aLength, bLength) as never)
}

/**
 * Throws where the ranges, taken together, are so large that strangers are among them: the client's own word would then
 * be its address. A quarter of all IPv4 addresses, or of those IPv6 addresses that are in use, is no set of proxies.
 */
export function assertNotTheWorld(where: string, option: string, ranges: readonly Range[]): void {
  const kinds = [
    ['ipv4', 0n, 32n],
    // Global unicast, 2000::/3: all that strangers have.
    ['ipv6', 0x2n << 124n, 125n],
  ] as const
  for (const [kind, start, width] of kinds) {
    const end = start + (1n << width)
    let covered = 0n
    let reached = start
    const bounds = ranges.filter(([address]) => address.kind() === kind).map(boundsOf)
    for (const [from, to] of bounds.sort(byStart)) {
      if (to <= reached || from >= end) continue
      if (from > reached) reached = from
      covered += (to < end ? to : end) - reached
      reached = to
    }
    if (covered < 1n << (width - 2n)) continue
    throw new TypeError(
      `${where}: \`${option}\` trusts ${(covered * 100n) / (1n << width)} % of all ${kind === 'ipv4' ? 'IPv4' : 'IPv6'} addresses, so that any client could say what its address is. List the proxies in front of this server, each by its address or network.`,
    )
  }
}

function boundsOf([address, length]: Range): readonly [bigint, bigint] {
  const bytes = address.toByteArray()
  const size = BigInt(bytes.length * 8 - length)
  const start = (bytes.reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n) >> size) << size
  return [start, start + (1n << size)]
}

function byStart([a]: readonly [bigint, bigint], [b]: readonly [bigint, bigint]): number {
  return a < b ? -1 : a > b ? 1 : 0
}

// `ipaddr.isValid` takes "1" and "0x7f.1" for addresses; only the usual notations are let in.
const usual = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$/

/** The longest address in its usual notations: eight groups, the last two as IPv4. */
const longest = 45

/** An address in one of its usual notations, IPv4-mapped IPv6 as IPv4; a zone is left out. */
export function parseAddress(text: string): Address | undefined {
  const zone = text.indexOf('%')
  const plain = zone === -1 ? text : text.slice(0, zone)
  // Before the expression, which takes the square of the length of some texts, and they come from clients.
  if (plain.length > longest || !usual.test(plain) || !ipaddr.isValid(plain)) return undefined
  return ipaddr.process(plain)
}

/** The 32 bits of a dotted quad without leading zeros; -1 for anything else. */
export function parseIPv4(text: string): number {
  let bits = 0
  let octet = -1
  let dots = 0
  if (text.length > 15) return -1
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30
    if (digit >= 0 && digit <= 9) {
      if (octet === 0) return -1
      octet = octet === -1 ? digit : octet * 10 + digit
      if (octet > 255) return -1
    } else if (digit === -2 && octet !== -1 && dots < 3) {
      bits = bits * 256 + octet
      octet = -1
      dots++
    } else return -1
  }
  return dots === 3 && octet !== -1 ? bits * 256 + octet : -1
}

/** Canonical form of one address; the usual cases without parsing. */
export function foldAddress(address: string): string | undefined {
  if (/^[\d.]{7,15}$/.test(address)) return address
  if (address.startsWith('::ffff:')) {
    const mapped = address.slice(7)
    if (parseIPv4(mapped) !== -1) return mapped
  }
  return parseAddress(address)?.toString()
}

/** Whether an address is one of those that Cloudflare's edge connects from, by the list of the release. */
export function isOfCloudflare(text: string): boolean {
  const address = parseAddress(text)
  return (
    address !== undefined &&
    cloudflareNetworks.some((network) => isWithin(address, [parseRange('', '', network)]))
  )
}
