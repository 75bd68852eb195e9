import type { Refused } from '../contract/decision.ts'
import { refuse } from '../contract/refusals.ts'
import { type AuthRequest, headerOf } from '../contract/request.ts'
import type { CompiledRule } from '../contract/rules.ts'
import { whyNotCanonical } from '../request/canonical-form.ts'
import { hostOf, type OriginPolicy } from '../request/origin.ts'
import type { Trace } from './trace.ts'

/** Refuses methods that tunnel, and those that are not written as methods are. */
export function refuseMethod(method: string): Refused | undefined {
  if (method === 'GET') return undefined
  const tunnels = method === 'CONNECT' || method === 'TRACE'
  // Methods are case-sensitive (RFC 9110 section 9.1), and rules name them so; routers take `post` for POST.
  if (!tunnels && /^[A-Z][A-Z-]*$/.test(method)) return undefined
  return refuse('method_refused', {
    detail: tunnels ? undefined : 'The method is no HTTP method in upper case.',
    headers: [['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS']],
  })
}

function unusualIn(request: AuthRequest): string | undefined {
  const { target, rewrittenTarget } = request
  return (
    whyNotCanonical(target) ?? (rewrittenTarget === undefined ? undefined : whyNotCanonical(rewrittenTarget))
  )
}

/** What of an ambiguous target is read in several ways. */
export function describeAmbiguity(request: AuthRequest): string | undefined {
  const unusual = unusualIn(request)
  return unusual === undefined
    ? undefined
    : `The request target can be read in ways that meet different rules: its path holds ${unusual}.`
}

/** Without it, a public file named `50%25.png` would ask for a login and not say why. */
export function describeStrictness(rule: CompiledRule, request: AuthRequest): string | undefined {
  // Demands of a single route have nothing to do with its path.
  const unusual = rule.index < -1 ? undefined : unusualIn(request)
  return unusual === undefined
    ? undefined
    : `No credential was sent, or none that counts here. The path holds ${unusual}, which routers read in more than one way: such a path is not let in without a credential.`
}

export function refuseOrigin(request: AuthRequest, rule: CompiledRule): Refused {
  return refuse('origin_refused', { rule, detail: `The origin${describeOrigin(request)} is not allowed.` })
}

/** The Origin as sent, cut and without anything unprintable: users need to see the refused value. */
export function describeOrigin(request: AuthRequest): string {
  const origin = headerOf(request, 'origin')
  if (origin === undefined)
    return headerOf(request, 'sec-fetch-site') === undefined ? '' : ' (another site, says the browser)'
  return ` ${printable(origin)}`
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 100).replace(/[^\x20-\x7e]/g, '?'))
}

/** Tells the client the Host that it sent; the gate's own hosts are for the operator. */
export function refuseHost(
  request: AuthRequest,
  rule: CompiledRule,
  { hosts }: OriginPolicy,
  trace: Trace | undefined,
): Refused {
  const host = hostOf(request)
  const sent = host === undefined ? undefined : printable(host)
  const ours = hosts?.join(', ') ?? ''
  const note = `Hosts of this gate are: ${ours}. If clients should use another one, add it to \`hosts\`, or its origin to \`origins\`.`
  trace?.add('host', `${sent ?? 'none'} is not ours`)
  const detail =
    sent === undefined
      ? 'The request has no Host header.'
      : `The Host header names ${sent}, which is not a host of this server.`
  return refuse('host_refused', { rule, detail, note })
}
