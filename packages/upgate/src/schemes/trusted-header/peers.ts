import { statSync } from 'node:fs'
import type { AuthRequest } from '../../core/contract/request.ts'
import type { Logger } from '../../core/ports/logger.ts'
import {
  assertNotTheWorld,
  isWithin,
  overlap,
  parseAddress,
  parseRanges,
  type Range,
} from '../../core/request/address-ranges.ts'

/** Words of the messages about peers. */
export interface PeerWords {
  readonly option: string
  readonly sent: string
  /** What a peer that is no proxy could do. */
  readonly power: string
}

/** The peers whose headers count. */
export interface Peers {
  /** Why the peer of a request does not count, or `undefined` if it does. */
  whyNot(request: AuthRequest): string | undefined
}

/**
 * Compiles `peers`.
 *
 * @param shared - whether peers may be others than the proxy alone
 * @param words - the names of the option and of the refused data, for messages
 * @throws TypeError for an entry that does not name the proxy
 */
export function compilePeers(
  where: string,
  peers: readonly string[],
  shared: boolean,
  logger: Logger | undefined,
  words: PeerWords = { option: 'peers', sent: 'identity headers', power: 'log in as any user' },
): Peers {
  const { option, sent } = words
  const paths = new Set(peers.filter((peer) => peer.startsWith('/')))
  const ranges = peers
    .filter((peer) => !paths.has(peer))
    .flatMap((peer) => {
      const networks = parseRanges(where, option, peer)
      if (!shared) assertOwn(where, words, peer, networks)
      return networks
    })
  assertNotTheWorld(where, option, ranges)
  const warned = new Set<string>()

  const whyNotSocket = (path: string): string | undefined => {
    const problem = whyOpen(path)
    if (problem === undefined) return undefined
    if (!warned.has(problem)) {
      warned.add(problem)
      logger?.error(
        `${where}: ${sent} that come by ${path} do not count, because ${problem}. Create it with mode 600, with process.umask(0o177) before \`listen\`; it must belong to the user that the proxy runs as.`,
      )
    }
    return problem
  }

  return {
    whyNot(request) {
      const { peerAddress, socketPath } = request
      if (peerAddress === undefined) {
        if (socketPath !== undefined && paths.has(socketPath)) return whyNotSocket(socketPath)
        return `they did not come from a peer in \`${option}\``
      }
      const address = parseAddress(peerAddress)
      return address !== undefined && isWithin(address, ranges)
        ? undefined
        : `they came from ${peerAddress}, which is not in \`${option}\``
    },
  }
}

/** Why others than the owner of a Unix socket can connect to it. The owner may be another user: the proxy's. */
function whyOpen(path: string): string | undefined {
  try {
    const { mode } = statSync(path)
    // Connecting takes the permission to write, on some systems none at all: any bit but the owner's is too much.
    return (mode & 0o077) === 0 ? undefined : `the mode of the socket is ${(mode & 0o777).toString(8)}`
  } catch {
    return 'the socket cannot be found'
  }
}

function cloudflareRemedy(option: string): string {
  return option === 'peers'
    ? 'Use `cloudflareAccess`, which verifies a signature'
    : 'Write the address of the proxy'
}

/** Throws for peers that are not the proxy alone. */
function assertOwn(
  where: string,
  { option, power }: PeerWords,
  peer: string,
  networks: readonly Range[],
): void {
  const fail = (others: string, instead: string): never => {
    throw new TypeError(
      `${where}: \`${option}\` has ${JSON.stringify(peer)}, from which ${others} can send: it could ${power}. ${instead}, or say \`dangerouslyTrustSharedPeers: true\`.`,
    )
  }
  // Parsed here and not with the module: few applications have such a scheme.
  const within = (name: 'loopback' | 'cloudflare'): boolean => {
    const others = parseRanges('', '', name)
    return networks.some((network) => others.some((other) => overlap(network, other)))
  }
  if (within('loopback')) {
    fail(
      'each program on this machine, and each client of an ssh -R tunnel,',
      "Let the proxy connect to a Unix socket of mode 600 and write its path, such as '/run/app/gate.sock'",
    )
  }
  if (within('cloudflare')) fail('each customer of Cloudflare', cloudflareRemedy(option))
  if (networks.some(([address, length]) => length < (address.kind() === 'ipv4' ? 16 : 48))) {
    fail('each machine of a large network', 'Write the address of the proxy')
  }
}
