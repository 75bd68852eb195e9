import type { Viewer } from '../context.ts'

/**
 * The command that connects a node, on any computer with Node. Secrets are in environment variables, because every user
 * of a machine can read arguments.
 */
export function nodeCommand(
  secret: { readonly name: 'UPGATE_TOKEN' | 'UPGATE_CODE'; readonly value: string },
  { nodeUrl, viewer, wishes = '' }: { nodeUrl: string; viewer: Viewer; wishes?: string },
): string {
  const edge = viewer.login.login === 'built-in' ? '' : 'CF_ACCESS_CLIENT_ID=... CF_ACCESS_CLIENT_SECRET=... '
  const { protocol, hostname } = new URL(nodeUrl)
  // A gateway without TLS on a network: the node refuses to send a secret there, unless it is told to.
  const plain = protocol === 'ws:' && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname)
  const options = `${wishes}${plain ? ' --dangerously-over-plain' : ''}`
  return `${edge}${secret.name}='${secret.value}' npx @upgate/cli node${options} ${nodeUrl}`
}
