import { clientFamilies } from '../contract/client-families.ts'
import type { Handshake } from '../contract/handshake.ts'
import type { RuleOptions } from '../contract/rules.ts'
import { isPlain } from '../options/check-options.ts'
import { flag, fn, list, oneOf, optional, text, unchecked, value } from '../options/option-kinds.ts'
import { type OptionKind, type OptionTable, optionTable } from '../options/option-table.ts'

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const names = <N extends string>(form?: RegExp): OptionKind<readonly N[], 'required'> =>
  list(
    'a non-empty list of names',
    (name) => typeof name === 'string' && name !== '' && (form?.test(name) ?? true),
  )

/** The options of a rule after reading. */
export type ReadRuleOptions = { readonly [O in keyof RuleOptions]-?: RuleOptions[O] | undefined } & Required<
  Pick<RuleOptions, 'access' | 'anyOrigin' | 'dangerouslyAllowForeignOrigins'>
>

/** The options of a rule; those that depend on others are checked by `compileDemands`. */
export const ruleOptions: OptionTable<RuleOptions, ReadRuleOptions> = optionTable<RuleOptions>()({
  // Checked by `parsePattern`.
  path: unchecked(),
  methods: optional(names(token)),
  access: oneOf('public', 'optional', 'required', 'deferred'),
  kinds: optional(names()),
  scopes: optional(names()),
  roles: optional(names()),
  schemes: optional(names()),
  audience: optional(names()),
  handshake: optional(
    value<Handshake>('a handshake, such as upgateHandshake()', (handshake) => isPlain(handshake)),
  ),
  closeCodes: optional(oneOf(...clientFamilies)),
  upgrade: optional(
    value<boolean | 'only'>(
      "true (HTTP and upgrades), false (HTTP alone) or 'only' (upgrades alone)",
      (upgrade) => typeof upgrade === 'boolean' || upgrade === 'only',
    ),
  ),
  // Default: `api` with `resourceMetadata`, else `auto`.
  challenge: optional(oneOf('auto', 'api')),
  agreesWithEdge: optional(fn("a function of the edge's and the own principal")),
  resourceMetadata: optional(
    text('an absolute URL, as RFC 9728 wants it', /^https?:\/\/[\x21\x23-\x5b\x5d-\x7e]+$/),
  ),
  anyOrigin: flag(false),
  // Checked with the patterns of the rule.
  document: unchecked(),
  dangerouslyAllowForeignOrigins: flag(false),
})
