import {
  assertKnownOptions,
  checkBooleans,
  isPlain,
  nameOf,
  wrongOption,
} from '../../core/options/check-options.ts'
import { checkNames } from '../record-input.ts'
import type { PairingOptions } from './types.ts'

export type ResolvedPairingOptions = Required<Omit<PairingOptions, 'actorScope'>> & {
  readonly actorScope: string | undefined
}

const hour = 3_600_000
const bounds = {
  requestLifetime: [300_000, 1000, hour],
  codeLifetime: [600_000, 1000, hour],
  maxInvited: [50, 1, 10_000],
  maxOpen: [10, 1, 10_000],
  maxPerAddress: [5, 1, 10_000],
  maxInvitations: [100, 1, 10_000],
} as const

/** Fills in defaults. Throws a `TypeError` for an option that is unknown or out of range. */
export function resolvePairingOptions(options: PairingOptions = {}): ResolvedPairingOptions {
  const where = 'createServices({ pairing })'
  const numbers = Object.keys(bounds) as (keyof typeof bounds)[]
  assertKnownOptions(where, options, [...numbers, 'roles', 'actorScope', 'dangerouslyAllowAnonymous'])
  const { roles = { node: [] }, actorScope, dangerouslyAllowAnonymous = false } = options
  if (!isPlain(roles)) {
    throw wrongOption(where, 'roles', "an object of scopes by role, such as { node: ['a'] }", roles)
  }
  for (const [role, scopes] of Object.entries(roles)) {
    checkNames('roles', [role], where)
    checkNames('scopes', scopes, `${where}: \`roles.${role}\``)
  }
  if (actorScope !== undefined) checkNames('scopes', [actorScope], `${where}: \`actorScope\``)
  checkBooleans(where, { dangerouslyAllowAnonymous })
  const resolved = {} as Record<keyof typeof bounds, number>
  for (const name of numbers) {
    const [standard, least, most] = bounds[name]
    const { [name]: value = standard } = options
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new TypeError(
        `${where}: \`${name}\` must be a whole number from ${least} to ${most}, not ${typeof value === 'number' ? value : nameOf(value)}`,
      )
    }
    resolved[name] = value
  }
  return { ...resolved, roles, actorScope, dangerouslyAllowAnonymous }
}
