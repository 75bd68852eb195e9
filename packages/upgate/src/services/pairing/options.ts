import { isPlain } from '../../core/options/check-options.ts'
import {
  count,
  flag,
  milliseconds,
  optional,
  text,
  value,
  withDefault,
} from '../../core/options/option-kinds.ts'
import { type OptionTable, optionTable } from '../../core/options/option-table.ts'
import { checkNames } from '../record-input.ts'
import type { PairingOptions } from './types.ts'

export type ResolvedPairingOptions = Required<Omit<PairingOptions, 'actorScope'>> & {
  readonly actorScope: string | undefined
}

const minute = 60_000
const hour = 60 * minute

/** Default, least and most of every option of pairing. */
export const pairingOptions: OptionTable<PairingOptions, ResolvedPairingOptions> =
  optionTable<PairingOptions>()({
    requestLifetime: milliseconds(5 * minute, 1_000, hour),
    codeLifetime: milliseconds(10 * minute, 1_000, hour),
    maxInvited: count(50, 1, 10_000),
    maxOpen: count(10, 1, 10_000),
    maxPerAddress: count(5, 1, 10_000),
    maxInvitations: count(100, 1, 10_000),
    roles: withDefault(value("an object of scopes by role, such as { node: ['a'] }", isPlain), { node: [] }),
    actorScope: optional(text('the name of a scope')),
    bindKeys: flag(false),
    dangerouslyAllowAnonymous: flag(false),
  })

/** Checks the names of roles and scopes. Throws a `TypeError` for one that no credential could hold. */
export function checkPairingNames(where: string, { roles, actorScope }: ResolvedPairingOptions): void {
  for (const [role, scopes] of Object.entries(roles)) {
    checkNames('roles', [role], `${where}: \`pairing\``)
    checkNames('scopes', scopes, `${where}: \`pairing.roles.${role}\``)
  }
  if (actorScope !== undefined) checkNames('scopes', [actorScope], `${where}: \`pairing.actorScope\``)
}
