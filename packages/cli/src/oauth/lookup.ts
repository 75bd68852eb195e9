import { isIP, type LookupFunction } from 'node:net'
import { allowedLookup, isPublicAddress } from '@upgate/client'
import { hostOf } from '../net/connect.ts'

/** Whether the host of a URL is an address inside a network, in whatever spelling. Names are left to the look-up. */
export function isInnerAddress(url: URL): boolean {
  const host = hostOf(url)
  return isIP(host) !== 0 && !isPublicAddress(host)
}

/**
 * A look-up that finds no inner addresses: documents of a server must not lead the doctor into its user's network. The
 * address that was checked is the one connected to.
 */
export const publicLookup: LookupFunction = allowedLookup(isPublicAddress)
