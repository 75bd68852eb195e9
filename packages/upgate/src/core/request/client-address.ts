import ipaddr from 'ipaddr.js'
import type { AuthRequest } from '../contract/request.ts'
import { nameOf, wrongOption } from '../options/check-options.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6
type Range = readonly [Address, number]
/** An IPv4 network: an address under its mask. */
type Network = readonly [bits: number, mask: number]

const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fe80::/10'],
}

/** Headers added by proxies and tunnels on this machine: nginx, Caddy, cloudflared, ngrok, `tailscale serve`. */
const forwardingHeaders = [
  'x-forwarded-for',
  'forwarded',
  'x-real-ip',
  'cf-connecting-ip',
  'x-forwarded-proto',
  'x-forwarded-host',
  'tailscale-headers-info',
  'via',
] as const

/** Finds the client address of a request. */
export interface ClientAddresses {
  /**
   * The client's address in canonical form, IPv4-mapped IPv6 folded; `undefined` when it is not known:
   * a loopback or proxy peer that names no client may speak for any.
   */
  of(request: AuthRequest): string | undefined
}

/** Compiles `trustedProxies`; throws a `TypeError` naming the bad entry. */
export function compileClientAddresses(
  trustedProxies: readonly string[] | undefined,
  warn: (message: string) => void,
): ClientAddresses {
  if (trustedProxies !== undefined && !Array.isArray(trustedProxies)) {
    throw wrongOption(
      'createGate',
      'trustedProxies',
      "a list of addresses, CIDR ranges, 'loopback' or 'private', such as ['loopback'] (what is in front of this server, never everything)",
      trustedProxies,
    )
  }
  const ranges: Range[] = (trustedProxies ?? []).flatMap((entry) =>
    (typeof entry === 'string' && Object.hasOwn(named, entry) ? (named[entry] ?? []) : [entry]).map(
      parseRange,
    ),
  )
  assertNotTheWorld(ranges)
  const networks: Network[] = ranges.flatMap(([network, bits]) => {
    if (network.kind() !== 'ipv4') return []
    const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0
    return [[(parseIPv4(network.toString()) & mask) >>> 0, mask] as const]
  })
  let warned = false

  /** The canonical form of an address that is no proxy's; `''` for a proxy's; `undefined` when it is no address. */
  const judge = (text: string): string | undefined => {
    // IPv4 in its usual form, on the path of every connection, takes no parsing into objects.
    const bits = parseIPv4(text)
    if (bits !== -1) {
      for (const [network, mask] of networks) if ((bits & mask) >>> 0 === network) return ''
      return text
    }
    const address = parseAddress(text)
    if (address === undefined) return undefined
    const trusted = ranges.some(
      ([network, length]) =>
        network.kind() === address.kind() && address.match(network as never, length as never),
    )
    return trusted ? '' : address.toString()
  }

  const unknown = (message: string): undefined => {
    if (!warned) warn(message)
    warned = true
    return undefined
  }

  return {
    of(request) {
      const peer = request.peerAddress
      if (peer === undefined) return undefined
      if (ranges.length === 0) {
        const folded = foldAddress(peer)
        if (folded === undefined || !isLoopback(folded)) return folded
        // Most loopback peers are the operator's own: only what a proxy or tunnel adds says that one is at work.
        const added = warned
          ? undefined
          : forwardingHeaders.find((name) => request.headers[name] !== undefined)
        if (added === undefined) return undefined
        return unknown(
          `Requests arrive from loopback with \`${added}\`, and no proxy is configured: their clients are unknown and count against global limits only. Set \`trustedProxies\` if a proxy or tunnel runs on this machine.`,
        )
      }
      const known = judge(peer)
      if (known !== '') return known === undefined || isLoopback(known) ? undefined : known
      const forwarded = request.headers['x-forwarded-for']
      const hops = typeof forwarded === 'string' ? forwarded.split(',') : []
      // From the right: each trusted proxy appended the address it saw. The first that is not ours is the client;
      // everything further left is the client's own word.
      for (let i = hops.length - 1; i >= 0 && i >= hops.length - 32; i--) {
        const text = (hops[i] as string).trim()
        const hop = judge(text) ?? judge(stripPort(text))
        if (hop === undefined) break
        // Copied: a part of the header, kept for as long as a socket is, would keep the whole header.
        if (hop !== '') return isLoopback(hop) ? undefined : hops.length === 1 ? hop : detached(hop)
      }
      return unknown(
        'A trusted proxy does not say whom it speaks for (X-Forwarded-For): such clients count against global limits only.',
      )
    },
  }
}

function parseRange(entry: unknown): Range {
  const fail = (): never => {
    const shown = typeof entry === 'string' ? JSON.stringify(entry) : nameOf(entry)
    throw new TypeError(
      `createGate: \`trustedProxies\` has ${shown}; write addresses, CIDR ranges, 'loopback' or 'private'.`,
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
  return length >= 0 && length <= longest ? [address, length] : fail()
}

/**
 * Throws where the ranges, taken together, are so large that strangers are among them: the client's own word would then
 * be its address. A quarter of all IPv4 addresses, or of those IPv6 addresses that are in use, is no set of proxies.
 */
function assertNotTheWorld(ranges: readonly Range[]): void {
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
      `createGate: \`trustedProxies\` trusts ${(covered * 100n) / (1n << width)} % of all ${kind === 'ipv4' ? 'IPv4' : 'IPv6'} addresses, so that any client could say what its address is. List the proxies in front of this server, each by its address or network.`,
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

function parseAddress(text: string): Address | undefined {
  const zone = text.indexOf('%')
  const plain = zone === -1 ? text : text.slice(0, zone)
  if (!usual.test(plain) || !ipaddr.isValid(plain)) return undefined
  return ipaddr.process(plain)
}

function stripPort(text: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)
  if (bracketed !== null) return bracketed[1] as string
  return /^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(':')) : text
}

/** The 32 bits of a dotted quad without leading zeros; -1 for anything else. */
function parseIPv4(text: string): number {
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

/** A copy that shares no memory with the text it was cut from. */
function detached(text: string): string {
  return text.split('').join('')
}

/** Canonical form of one address; the usual cases without parsing. */
export function foldAddress(address: string): string | undefined {
  if (/^[\d.]{7,15}$/.test(address)) return address
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7)
  return parseAddress(address)?.toString()
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.')
}
