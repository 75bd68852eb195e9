import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { isCallable } from '../check.ts'

/** Whether an address may be connected to. */
export type AllowAddress = (address: string) => boolean

/** The code of the refusal; `@upgate/diagnosis` has a row for it. */
const code = 'address_not_allowed'

/**
 * A look-up that finds only allowed addresses, for `net.connect` and everything above it. The address that was checked is
 * the one that is connected to, whatever the name leads to a moment later. Of several addresses, the allowed ones are
 * left; without any, the look-up fails with the code `address_not_allowed`.
 *
 * Node asks no look-up for a host that is an address already: check that one as well. `wsTransport({ allowAddress })` does
 * both.
 *
 * @param allow for each address of a name
 * @param lookup resolves names; `dns.lookup` by default
 * @example
 * import { get } from 'node:https'
 *
 * get('https://example.com/', { lookup: allowedLookup(isPublicAddress) })
 */
export function allowedLookup(allow: AllowAddress, lookup: LookupFunction = systemLookup): LookupFunction {
  for (const [which, value] of Object.entries({ first: allow, second: lookup })) {
    if (!isCallable(value)) throw new TypeError(`allowedLookup: the ${which} argument must be a function.`)
  }
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, found, family) => {
      if (error !== null && error !== undefined) return callback(error, '', 0)
      const addresses: readonly LookupAddress[] = Array.isArray(found)
        ? found
        : [{ address: found as string, family: family ?? isIP(found as string) }]
      const allowed = addresses.filter(({ address }) => allow(address))
      const [first] = allowed
      if (first === undefined) return callback(refusal(), '', 0)
      if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

/** The refusal of a URL whose host is an address, in whatever spelling; `undefined` for names and allowed addresses. */
export function refusalOf(url: URL, allow: AllowAddress | undefined): NodeJS.ErrnoException | undefined {
  // The URL parser has brought decimal, octal and short forms into one.
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return allow === undefined || isIP(host) === 0 || allow(host) ? undefined : refusal()
}

/** Without the address: the addresses of names in inner networks stay with the operator. */
function refusal(): NodeJS.ErrnoException {
  return Object.assign(new Error('The address is not one that may be connected to.'), { code })
}
