import type { GatewayApi, PendingPairing, RemoteView } from './api.ts'

/** One of the two gateways. */
export interface Side {
  readonly name: string
  readonly api: GatewayApi
}

export interface PairOptions {
  /** The gateway that connects. */
  readonly node: Side
  /** The gateway that takes it as a node. */
  readonly host: Side
  /** Where the first one reaches the second one. */
  readonly url: string
  say(line: string): void
  /** Milliseconds for each step. Default: 30,000. */
  readonly patience?: number
}

/**
 * Pairs one gateway as a node of the other, by their APIs: a code of the host, the request of the node, the comparison of
 * the characters that both show, the approval.
 */
export async function pair({ node, host, url, say, patience = 30_000 }: PairOptions): Promise<void> {
  const { code } = (await host.api.ask('POST', '/api/pairings/codes', {})) as { readonly code: string }
  say(`${host.name} made a pairing code, and ${node.name} connects with it to ${url}`)
  await node.api.ask('POST', '/api/remote', { url, token: code })
  const shown = await until(patience, async () => pairingOf(await node.api.remote()))
  const request = await until(patience, async () =>
    (await host.api.pending()).find(({ id }) => id === shown.requestId),
  )
  say(`${node.name} shows ${shown.comparisonCode}, ${host.name} shows ${request.comparisonCode}`)
  await approve(host, request, shown.comparisonCode)
  await until(patience, async () => ((await node.api.remote()).state === 'connected' ? true : undefined))
  say(`${host.name} approved it: ${node.name} is a node of ${host.name}`)
}

/** Approves a request with the characters that the *other* gateway shows: the host refuses any others. */
async function approve(
  host: Side,
  request: PendingPairing,
  comparisonCode: string | undefined,
): Promise<void> {
  await host.api.ask('POST', `/api/pairings/${request.id}/approve`, { comparisonCode })
}

function pairingOf(view: RemoteView): NonNullable<RemoteView['pairing']> | undefined {
  const { pairing, failure, state } = view
  if (pairing?.comparisonCode !== undefined) return pairing
  if (failure !== undefined && state === 'stopped') {
    throw new Error(`It does not connect: ${failure.title} ${failure.action}`)
  }
  return undefined
}

async function until<T>(patience: number, look: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + patience
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error('The other gateway did not get there in time.')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
