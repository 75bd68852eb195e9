import { type AuthRequest, headerOf } from '../contract/request.ts'
import { foldAddress, isOfCloudflare } from '../request/address-ranges.ts'
import type { ClientAddresses } from '../request/client-address.ts'
import { quote, type WayFinding } from './finding.ts'

/** Whether the address that limits and the log count by is the client's. */
export function readAddresses(request: AuthRequest, addresses: ClientAddresses): WayFinding | undefined {
  const counted = addresses.of(request)
  const named = headerOf(request, 'cf-connecting-ip')
  if (named !== undefined && counted !== undefined && foldAddress(named) !== counted) {
    return {
      sign: 'edge_counted',
      sentence: isOfCloudflare(counted)
        ? `The address that counts is ${counted}, one of Cloudflare's, and CF-Connecting-IP names ${quote(named)}: all clients behind one address of the edge share its limits. Add 'cloudflare' to \`trustedProxies\`.`
        : `The address that counts is ${counted}, and CF-Connecting-IP names ${quote(named)}: a proxy between Cloudflare and this server is not in \`trustedProxies\`, or a client that does not come through Cloudflare sent the header itself.`,
    }
  }
  const unknown = counted === undefined ? addresses.whyUnknown(request) : undefined
  return unknown === undefined ? undefined : { sign: unknown.sign, sentence: unknown.message }
}
