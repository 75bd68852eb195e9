import type { AuthRequest } from '../contract/request.ts'
import { wrongOption } from '../options/check-options.ts'
import {
  assertNotTheWorld,
  foldAddress,
  isWithin,
  parseAddress,
  parseIPv4,
  parseRange,
  parseRanges,
  type Range,
} from './address-ranges.ts'

/** An IPv4 network: an address under its mask. */
type Network = readonly [bits: number, mask: number]

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
  /** Why a proxy's client is unknown; `undefined` where it is known, or where no proxy is at work. */
  whyUnknown(request: AuthRequest): UnknownClient | undefined
}

/** Why the address of a proxy's client is unknown, for the operator. */
export interface UnknownClient {
  readonly sign: 'client_unnamed' | 'client_in_proxies'
  readonly message: string
}

/** The options that say which proxies are in front of this server. */
export interface ProxyOptions {
  readonly trustedProxies: readonly string[] | undefined
  readonly cloudflareRanges: readonly string[] | undefined
}

/** Values that stand for the address of a proxy, and for one of Cloudflare's: no client has such an address. */
const proxy = ''
const edge = 'cloudflare'

/** Compiles `trustedProxies`; throws a `TypeError` naming the bad entry. */
export function compileClientAddresses(
  { trustedProxies, cloudflareRanges }: ProxyOptions,
  warn: (message: string) => void,
): ClientAddresses {
  if (trustedProxies !== undefined && !Array.isArray(trustedProxies)) {
    throw wrongOption(
      'createGate',
      'trustedProxies',
      "a list of addresses, CIDR ranges, 'loopback', 'private' or 'cloudflare', such as ['loopback'] (what is in front of this server, never everything)",
      trustedProxies,
    )
  }
  const ranges = (trustedProxies ?? []).flatMap((entry) =>
    entry === 'cloudflare' ? [] : parseRanges('createGate', 'trustedProxies', entry),
  )
  const edges = edgesOf({ trustedProxies, cloudflareRanges })
  assertNotTheWorld('createGate', 'trustedProxies', [...ranges, ...edges])
  const networks = ipv4Networks(ranges)
  const edgeNetworks = ipv4Networks(edges)
  const none = ranges.length === 0 && edges.length === 0
  /** Warnings that the operator already got. */
  const warned = new Set<string>()

  /**
   * The canonical form of a client's address; `proxy` or `edge` for the address of a trusted proxy or of the
   * edge; `undefined` for a text that is no address.
   */
  const judge = (text: string): string | undefined => {
    // IPv4 in its usual form, on the path of every connection, takes no parsing into objects.
    const bits = parseIPv4(text)
    if (bits !== -1) {
      for (const [network, mask] of networks) if ((bits & mask) >>> 0 === network) return proxy
      for (const [network, mask] of edgeNetworks) if ((bits & mask) >>> 0 === network) return edge
      return text
    }
    const address = parseAddress(text)
    if (address === undefined) return undefined
    if (isWithin(address, ranges)) return proxy
    return isWithin(address, edges) ? edge : address.toString()
  }

  const warnOnce = ({ sign, message }: UnknownClient): void => {
    if (!warned.has(sign)) warn(message)
    warned.add(sign)
  }

  const find = (request: AuthRequest, tell: (unknown: UnknownClient) => void): string | undefined => {
    const peer = request.peerAddress
    if (peer === undefined) return undefined
    if (none) {
      const folded = foldAddress(peer)
      if (folded === undefined || !isLoopback(folded)) return folded
      // Most loopback peers are the operator's own: only what a proxy or tunnel adds says that one is at work.
      const added =
        tell === warnOnce && warned.has('client_unnamed')
          ? undefined
          : forwardingHeaders.find((name) => request.headers[name] !== undefined)
      if (added === undefined) return undefined
      tell({
        sign: 'client_unnamed',
        message: `Requests arrive from loopback with \`${added}\`, and no proxy is configured: their clients are unknown and count against global limits only. Set \`trustedProxies\` if a proxy or tunnel runs on this machine.`,
      })
      return undefined
    }
    const known = judge(peer)
    if (known !== proxy && known !== edge) {
      return known === undefined || isLoopback(known) ? undefined : known
    }
    let behindEdge = known === edge
    const forwarded = request.headers['x-forwarded-for']
    const list = typeof forwarded === 'string' ? forwarded : undefined
    // From the right: each trusted proxy appended the address it saw. The first that is not ours is the client;
    // everything further left is the client's own word, and is not even split.
    let named = list !== undefined
    let end = list?.length ?? -1
    for (let hops = 0; list !== undefined && end !== -1 && hops < 32; hops++) {
      const comma = end === 0 ? -1 : list.lastIndexOf(',', end - 1)
      const text = list.slice(comma + 1, end).trim()
      const isAll = comma === -1 && end === list.length
      end = comma
      let hop = judge(text) ?? judge(stripPort(text))
      if (hop === undefined) {
        named = false
        break
      }
      // Clients have addresses of Cloudflare's, too (WARP, private relays, Workers): whatever address the edge
      // appended is the client's, and everything left of it is what such a client chose to send.
      if (behindEdge || (hop === edge && request.headers['cf-connecting-ip'] === text)) {
        hop = foldAddress(text) ?? foldAddress(stripPort(text)) ?? proxy
      } else if (hop === edge) {
        behindEdge = true
        continue
      }
      // Copied: a part of the header, kept for as long as a socket is, would keep the whole header.
      if (hop !== proxy) return isLoopback(hop) ? undefined : isAll ? hop : detached(hop)
    }
    tell(named ? inRanges : unnamed)
    return undefined
  }

  return {
    of: (request) => find(request, warnOnce),
    whyUnknown(request) {
      let found: UnknownClient | undefined
      find(request, (unknown) => {
        found = unknown
      })
      return found
    },
  }
}

const unnamed: UnknownClient = {
  sign: 'client_unnamed',
  message:
    'A trusted proxy does not say whom it speaks for (X-Forwarded-For): such clients count against global limits only.',
}
/**
 * The leftmost address may be the client's own word: a client within the ranges can write any other one of them
 * there.
 */
const inRanges: UnknownClient = {
  sign: 'client_in_proxies',
  message:
    'Every address in X-Forwarded-For is in `trustedProxies`, so that clients within those ranges cannot be told from proxies, and count against global limits only. List the addresses of the proxies alone, not a network that has clients as well.',
}

/** The networks of Cloudflare's edge, where it is among the proxies. */
function edgesOf({ trustedProxies, cloudflareRanges }: ProxyOptions): readonly Range[] {
  const isTrusted = trustedProxies?.includes('cloudflare') === true
  if (cloudflareRanges === undefined) {
    return isTrusted ? parseRanges('createGate', 'trustedProxies', 'cloudflare') : []
  }
  if (!Array.isArray(cloudflareRanges) || cloudflareRanges.length === 0) {
    throw wrongOption(
      'createGate',
      'cloudflareRanges',
      'the list of all ranges, IPv4 and IPv6, that https://www.cloudflare.com/ips/ publishes',
      cloudflareRanges,
    )
  }
  if (!isTrusted) {
    throw new TypeError(
      "createGate: `cloudflareRanges` says what 'cloudflare' stands for in `trustedProxies`, which does not name it; add it there.",
    )
  }
  return cloudflareRanges.map((entry) => parseRange('createGate', 'cloudflareRanges', entry))
}

function ipv4Networks(ranges: readonly Range[]): readonly Network[] {
  return ranges.flatMap(([network, bits]) => {
    if (network.kind() !== 'ipv4') return []
    const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0
    return [[(parseIPv4(network.toString()) & mask) >>> 0, mask] as const]
  })
}

function stripPort(text: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)
  if (bracketed !== null) return bracketed[1] as string
  return /^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(':')) : text
}

/** A copy that shares no memory with the text it was cut from. */
function detached(text: string): string {
  return text.split('').join('')
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.')
}
