import { clean, type ObservedResponse } from '@upgate/diagnosis'
import { type Outcome, pass, unknown } from './check.ts'

/** Says which server answered, from what it says about itself. */
export function describeServer(response: ObservedResponse | undefined): Outcome {
  if (response === undefined) return unknown('nothing answered')
  const header = (name: string): string => {
    const value = response.headers?.[name]
    return (typeof value === 'string' ? value : (value?.[0] ?? '')).slice(0, 200)
  }
  const marker = header('upgate-refusal')
  if (marker !== '') return pass(`an Upgate gate: ${clean(marker.split(';')[0] ?? '', 40)}`)
  const location = header('location')
  if (
    /^https:\/\/[a-z\d-]+(?:\.fed)?\.cloudflareaccess\.com\//.test(location) ||
    header('cf-access-domain') !== ''
  )
    return pass('Cloudflare Access, in front of the application')
  if (header('ngrok-error-code') !== '') return pass('ngrok')
  if (header('cf-ray') !== '' || /^cloudflare/i.test(header('server')))
    return pass("Cloudflare's edge; the server behind it does not show in this answer")
  const server = header('server') || header('via') || header('x-powered-by')
  // A gate marks refusals only: an answer without the marker may still have passed one.
  return server === ''
    ? unknown('it does not say; a gate shows itself when it refuses')
    : pass(`${clean(server, 60)}; a gate behind it shows itself when it refuses`)
}
