import { clientFamilies, closeCodesOf } from '../contract/client-families.ts'
import type { Scheme } from '../contract/credential.ts'
import type { Handshake } from '../contract/handshake.ts'
import type { PrincipalKind } from '../contract/principal.ts'
import type { CompiledRule, RuleOptions } from '../contract/rules.ts'
import { assertKnownOptions, isPlain, wrongEntry } from '../options/check-options.ts'
import { flag, fn, list, oneOf, optional, text, unchecked, value } from '../options/option-kinds.ts'
import { type OptionKind, type OptionTable, optionTable } from '../options/option-table.ts'
import { checkAnyOrigin, type OriginScheme } from './any-origin.ts'
import { audienceOf } from './audience.ts'
import { checkedHandshake } from './checked-handshake.ts'
import { assertHandshake } from './handshake-shape.ts'
import type { RulePattern } from './matcher.ts'
import { type Pattern, parsePattern } from './pattern.ts'
import { documentOf } from './rule-document.ts'

const kinds: readonly PrincipalKind[] = ['user', 'device', 'service']
const none: readonly string[] = Object.freeze([])
const users: readonly PrincipalKind[] = Object.freeze(['user'])
const neverDecided: readonly string[] = ['HEAD', 'CONNECT', 'TRACE']
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const names = <N extends string>(form?: RegExp): OptionKind<readonly N[], 'required'> =>
  list(
    'a non-empty list of names',
    (name) => typeof name === 'string' && name !== '' && (form?.test(name) ?? true),
  )

/** The options of a rule after reading. */
type ReadRuleOptions = { readonly [O in keyof RuleOptions]-?: RuleOptions[O] | undefined } & Required<
  Pick<RuleOptions, 'access' | 'anyOrigin' | 'dangerouslyAllowForeignOrigins'>
>

/** The options of a rule; those that depend on others are checked by {@link compileRule}. */
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

/** The facts of a gate's schemes that rules need. */
export type NamedScheme = Pick<Scheme, 'name' | 'yields'> & OriginScheme & Partial<Pick<Scheme, 'audiences'>>

/** Checks the application's rules and fills in the defaults; throws a `TypeError` naming rule and option. */
export function compileRules(rules: readonly RuleOptions[], known: readonly NamedScheme[]): RulePattern[] {
  const compiled: RulePattern[] = []
  rules.forEach((options, index) => {
    const where = `createGate: \`rules[${index}]\``
    if (typeof options !== 'object' || options === null) {
      throw new TypeError(`${where} must be an object, such as { path: '/health', access: 'public' }.`)
    }
    assertKnownOptions(where, options, ruleOptions.names)
    const sources: readonly unknown[] = Array.isArray(options.path) ? options.path : [options.path]
    if (sources.length === 0)
      throw new TypeError(`${where}: \`path\` is an empty list; the rule can never match.`)
    const patterns: Pattern[] = sources.map((source) => parsePattern(source, where))
    const label =
      patterns.length === 1 ? (sources[0] as string) : patterns.map(({ source }) => source).join(', ')
    const rule = compileRule(options, index, label, known, where, patterns)
    for (const pattern of patterns) compiled.push({ rule, pattern })
  })
  return compiled
}

/** Compiles what one rule demands, apart from its path. */
export function compileRule(
  options: Omit<RuleOptions, 'path'>,
  index: number,
  label: string,
  known: readonly NamedScheme[],
  where: string,
  patterns: readonly Pattern[] = [],
): CompiledRule {
  const read = ruleOptions.read(where, options as RuleOptions)
  const { access, methods, handshake, closeCodes, schemes, upgrade, agreesWithEdge, resourceMetadata } = read
  const { scopes = none, roles = none, dangerouslyAllowForeignOrigins, anyOrigin } = read
  const { challenge = resourceMetadata === undefined && !anyOrigin ? 'auto' : 'api' } = read
  if (methods !== undefined) {
    const lower = methods.find((method) => method !== method.toUpperCase())
    if (lower !== undefined) throw wrongEntry(where, 'methods', lower, 'write methods in upper case')
    if ((access === 'deferred' || upgrade === 'only') && !methods.includes('GET')) {
      throw new TypeError(
        `${where}: a ${access} rule for upgrades without the method GET can never match, because upgrades are GET requests.`,
      )
    }
    if (methods.every((method) => neverDecided.includes(method))) {
      throw new TypeError(
        `${where}: \`methods\` has ${methods.join(', ')} only, so the rule can never match: HEAD follows the rules of GET (write GET), CONNECT and TRACE are always refused.`,
      )
    }
  }
  if (read.kinds !== undefined) {
    const strange = read.kinds.find((kind) => !kinds.includes(kind))
    if (strange !== undefined) throw wrongEntry(where, 'kinds', strange, `known kinds: ${kinds.join(', ')}`)
  }
  if (schemes !== undefined) {
    const names = known.map((scheme) => scheme.name)
    const unknown = schemes.find((name) => !names.includes(name))
    if (unknown !== undefined) {
      throw new TypeError(
        `${where}: \`schemes\` names ${JSON.stringify(unknown)}, which is not among this gate's schemes: ${names.join(', ')}.`,
      )
    }
  }
  if (access === 'deferred') {
    if (handshake === undefined) {
      throw new TypeError(
        `${where}: a deferred rule needs a \`handshake\`: how the protocol says who it is, for example \`jsonFrame({ credential })\`.`,
      )
    }
    assertHandshake(where, handshake)
  } else if (handshake !== undefined) {
    throw new TypeError(`${where}: \`handshake\` belongs to \`access: 'deferred'\` only.`)
  }
  if (closeCodes !== undefined && access === 'deferred') {
    throw new TypeError(
      `${where}: a deferred rule has the close codes of its handshake, for example graphqlWs(); leave \`closeCodes\` out.`,
    )
  }
  if (upgrade !== undefined && access === 'deferred') {
    throw new TypeError(`${where}: a deferred rule concerns upgrades anyway; leave \`upgrade\` out.`)
  }
  if (access === 'public' && (read.kinds ?? read.scopes ?? read.roles ?? read.schemes) !== undefined) {
    throw new TypeError(
      `${where}: a public rule demands nothing; \`kinds\`, \`scopes\`, \`roles\` and \`schemes\` have no meaning there.`,
    )
  }
  if (anyOrigin) checkAnyOrigin(read, known, where)
  if (agreesWithEdge !== undefined && (access === 'public' || access === 'optional')) {
    throw new TypeError(`${where}: \`agreesWithEdge\` belongs to required and deferred rules.`)
  }
  if (resourceMetadata !== undefined && challenge !== 'api') {
    throw new TypeError(
      `${where}: a path with \`resourceMetadata\` answers 401, so \`challenge\` can only be 'api'.`,
    )
  }
  const admission = admittedKinds(read, known, where)
  const rule: Writable<CompiledRule> = {
    index,
    label,
    access,
    methods: methods === undefined ? undefined : new Set(methods),
    kinds: admission.kinds,
    scopes,
    roles,
    schemes,
    audience: audienceOf(options, known, where),
    handshake: handshake === undefined ? undefined : checkedHandshake(handshake),
    givenHandshake: handshake,
    http: upgrade !== 'only',
    upgrade: upgrade === undefined ? access === 'required' || access === 'deferred' : upgrade !== false,
    challenge,
    agreesWithEdge,
    resourceMetadata,
    allowForeignOrigins: dangerouslyAllowForeignOrigins || anyOrigin,
    anyOrigin,
    document: documentOf(options, patterns, where),
  }
  // Spreading them into the literal would take longer than all the rest, and most rules have neither.
  if (admission.kindsOfSchemes === true) rule.kindsOfSchemes = true
  if (closeCodes !== undefined) rule.closeCodes = closeCodesOf(closeCodes)
  return Object.freeze(rule)
}

type Writable<T> = { -readonly [N in keyof T]: T[N] }

/** The kinds that a rule admits, its default filled in. Throws where none of its schemes has a principal of them. */
function admittedKinds(
  { access, kinds: written, schemes }: Pick<ReadRuleOptions, 'access' | 'kinds' | 'schemes'>,
  known: readonly NamedScheme[],
  where: string,
): Pick<CompiledRule, 'kinds' | 'kindsOfSchemes'> {
  if (schemes === undefined) return { kinds: written ?? users }
  const named = known.filter(({ name }) => schemes.includes(name))
  const yielded = kinds.filter((kind) => named.some(({ yields = ['user'] }) => yields.includes(kind)))
  if (named.every(({ yields }) => yields?.length === 0)) {
    throw new TypeError(
      `${where}: \`schemes\` names ${schemes.join(', ')} alone, which stands for principals of other schemes; name those schemes, too.`,
    )
  }
  // Deferred rules keep the plain default: their sockets are let in before anything is proved.
  const ofSchemes = written === undefined && access !== 'deferred'
  const admitted = ofSchemes ? yielded : (written ?? ['user'])
  // A scheme that declares nothing may have principals of any kind.
  const isPossible =
    named.some(({ yields }) => yields === undefined) || admitted.some((kind) => yielded.includes(kind))
  if (!isPossible) {
    throw new TypeError(
      `${where}: \`schemes\` names ${schemes.join(', ')}, which yield principals of kind ${yielded.join(', ')}, and \`kinds\` admits ${admitted.join(', ')}${written === undefined ? ' (the default of deferred rules)' : ' only'}: nothing could ever enter. Name another scheme, or write kinds: [${yielded.map((kind) => `'${kind}'`).join(', ')}].`,
    )
  }
  return ofSchemes ? { kinds: admitted, kindsOfSchemes: true } : { kinds: admitted }
}
