import { closeCodesOf } from '../contract/client-families.ts'
import type { Scheme } from '../contract/credential.ts'
import type { PrincipalKind } from '../contract/principal.ts'
import type { CompiledRule, RuleOptions } from '../contract/rules.ts'
import { wrongEntry } from '../options/check-options.ts'
import { checkAnyOrigin, type OriginScheme } from './any-origin.ts'
import { audienceOf } from './audience.ts'
import { checkedHandshake } from './checked-handshake.ts'
import { assertHandshake } from './handshake-shape.ts'
import { type ReadRuleOptions, ruleOptions } from './rule-options.ts'

const kinds: readonly PrincipalKind[] = ['user', 'device', 'service']
const none: readonly string[] = Object.freeze([])
const users: readonly PrincipalKind[] = Object.freeze(['user'])
const neverDecided: readonly string[] = ['HEAD', 'CONNECT', 'TRACE']

/** The facts of a gate's schemes that rules need. */
export type NamedScheme = Pick<Scheme, 'name' | 'yields'> & OriginScheme & Partial<Pick<Scheme, 'audiences'>>

/** All that a rule demands: rules that differ in their paths alone share it. */
export type Demands = Omit<CompiledRule, 'index' | 'label' | 'document'>

/** Checks the options of a rule, apart from its path and document, and fills in the defaults. */
export function compileDemands(
  options: Omit<RuleOptions, 'path'>,
  known: readonly NamedScheme[],
  where: string,
): Demands {
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
  const demands: Writable<Demands> = {
    access,
    methods: methods === undefined ? undefined : new Set(methods),
    // Copies: what the application does with its own lists later changes no rule.
    kinds: copyOf(admission.kinds),
    scopes: copyOf(scopes),
    roles: copyOf(roles),
    schemes: schemes && copyOf(schemes),
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
  }
  if (admission.kindsOfSchemes === true) demands.kindsOfSchemes = true
  if (closeCodes !== undefined) demands.closeCodes = closeCodesOf(closeCodes)
  return demands
}

export type Writable<T> = { -readonly [N in keyof T]: T[N] }

function copyOf<T>(list: readonly T[]): readonly T[] {
  return Object.isFrozen(list) ? list : [...list]
}

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
