import { isIP } from 'node:net'
import { onlyKnown } from './check.ts'

/** Lets users in after a login. An entry that starts with `@` stands for a whole domain; no list = everyone. */
export interface AllowPolicy {
  readonly action: 'allow'
  readonly emails?: readonly string[]
}

/** Lets service tokens in, by name; no list = any valid token of the team. */
export interface ServiceAuthPolicy {
  readonly action: 'service_auth'
  readonly tokens?: readonly string[]
}

/** Switches Access off: no login, no assertion, and spoofed `Cf-Access-*` headers pass. No list = for everyone. */
export interface BypassPolicy {
  readonly action: 'bypass'
  readonly addresses?: readonly string[]
}

/** One Access policy. */
export type Policy = AllowPolicy | ServiceAuthPolicy | BypassPolicy

const LISTS = { allow: 'emails', service_auth: 'tokens', bypass: 'addresses' } as const

/** Checks a list of policies; throws a `TypeError` that names the defect. */
export function checkPolicies(policies: readonly Policy[]): void {
  if (!Array.isArray(policies)) throw new TypeError('application.policies must be an array')
  policies.forEach((policy: Policy, index) => {
    const what = `application.policies[${index}]`
    const list = Object.hasOwn(LISTS, policy?.action) ? LISTS[policy.action] : undefined
    if (list === undefined) throw new TypeError(`${what}.action must be allow, service_auth or bypass`)
    onlyKnown(what, policy, ['action', list])
    const entries = (policy as unknown as Record<string, unknown>)[list]
    if (entries === undefined) return
    if (!Array.isArray(entries) || entries.some((entry) => typeof entry !== 'string' || entry === '')) {
      throw new TypeError(`${what}.${list} must be an array of non-empty strings`)
    }
    if (list === 'addresses' && entries.some((entry) => isIP(entry) === 0)) {
      throw new TypeError(`${what}.addresses must be IP addresses`)
    }
  })
}

/** Whether a Bypass policy covers a client address. */
export function bypasses(policies: readonly Policy[], address: string): boolean {
  return policies.some(
    (policy) => policy.action === 'bypass' && (policy.addresses?.includes(address) ?? true),
  )
}

/** Whether a Service Auth policy admits the token of this name. */
export function admitsToken(policies: readonly Policy[], name: string): boolean {
  return policies.some(
    (policy) => policy.action === 'service_auth' && (policy.tokens?.includes(name) ?? true),
  )
}

/** Whether an Allow policy admits this user. */
export function admitsUser(policies: readonly Policy[], email: string): boolean {
  return policies.some(
    (policy) =>
      policy.action === 'allow' &&
      (policy.emails?.some((entry) => (entry.startsWith('@') ? email.endsWith(entry) : email === entry)) ??
        true),
  )
}
