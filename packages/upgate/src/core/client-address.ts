import ipaddr from 'ipaddr.js'
import type { AuthRequest } from './request.ts'

type Range = readonly [ipaddr.IPv4 | ipaddr.IPv6, number]

const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fe80::/10'],
}

/** Finds out whose address a request comes from. */
export interface ClientAddresses {
  /**
   * The client's address in canonical form, IPv4-mapped IPv6 folded; `undefined` when it is not known:
   * a loopback or proxy peer that does not say for whom it speaks could be anybody.
   */
  of(request: AuthRequest): string | undefined
}

/** Compiles `trustedProxies`; throws a `TypeError` naming the bad entry. */
export function compileClientAddresses(
  trustedProxies: readonly string[] | undefined,
  warn: (message: string) => void,
): ClientAddresses {
  const ranges: Range[] = (trustedProxies ?? []).flatMap((entry) => (named[entry] ?? [entry]).map(parseRange))
  let warned = false

  const isTrusted = (address: ipaddr.IPv4 | ipaddr.IPv6): boolean =>
    ranges.some(
      ([network, bits]) =>
        network.kind() === address.kind() && address.match(network as never, bits as never),
    )

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
        return unknown(
          'Requests arrive from loopback and no proxy is configured: their clients are unknown and count against global limits only. Set `trustedProxies` if a proxy or tunnel runs on this machine.',
        )
      }
      const peerIp = parseAddress(peer)
      if (peerIp === undefined) return undefined
      if (!isTrusted(peerIp)) return isLoopback(peerIp.toString()) ? undefined : canonical(peerIp)
      const forwarded = request.headers['x-forwarded-for']
      const hops = typeof forwarded === 'string' ? forwarded.split(',') : []
      // From the right: each trusted proxy appended the address it saw. The first that is not ours is the client;
      // everything further left is the client's own word.
      for (let i = hops.length - 1; i >= 0 && i >= hops.length - 32; i--) {
        const hop = parseAddress(stripPort((hops[i] as string).trim()))
        if (hop === undefined) break
        if (!isTrusted(hop)) return isLoopback(hop.toString()) ? undefined : canonical(hop)
      }
      return unknown(
        'A trusted proxy does not say whom it speaks for (X-Forwarded-For): such clients count against global limits only.',
      )
    },
  }
}

function parseRange(entry: string): Range {
  try {
    if (!entry.includes('/')) {
      const address = ipaddr.process(entry)
      return [address, address.kind() === 'ipv4' ? 32 : 128]
    }
    return ipaddr.parseCIDR(entry)
  } catch {
    throw new TypeError(
      `createGate: \`trustedProxies\` has ${JSON.stringify(entry)}; write addresses, CIDR ranges, 'loopback' or 'private'.`,
    )
  }
}

// `ipaddr.isValid` takes "1" and "0x7f.1" for addresses; only the usual notations are let in.
const usual = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$/

function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
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

function canonical(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  return address.toString()
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
