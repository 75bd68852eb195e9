import type { CompiledRule, RuleOptions } from '../contract/rules.ts'
import { assertKnownOptions } from '../options/check-options.ts'
import { compileDemands, type Demands, type NamedScheme, type Writable } from './demands.ts'
import { type Pattern, parsePattern, plainPattern, type RulePattern } from './pattern.ts'
import { documentOf } from './rule-document.ts'
import { ruleOptions } from './rule-options.ts'
import { SharedDemands } from './shared-demands.ts'

/** Checks the application's rules and fills in the defaults; throws a `TypeError` naming rule and option. */
export function compileRules(rules: readonly RuleOptions[], known: readonly NamedScheme[]): RulePattern[] {
  const shared = new SharedDemands()
  const compiled: RulePattern[] = []
  rules.forEach((options, index) => {
    // Most of thousands of rules: a simple path, and the demands of a rule before it.
    const same = shared.of(options)
    const path: unknown = same === undefined ? undefined : options.path
    const plain = same === undefined ? undefined : plainPattern(path)
    if (same !== undefined && plain !== undefined) {
      compiled.push({ rule: ruleOf(same, index, plain.source, undefined), pattern: plain })
      return
    }
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
    const demands = same ?? shared.compile(options, known, where)
    const rule = ruleOf(demands, index, label, documentOf(options, patterns, where))
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
): CompiledRule {
  return ruleOf(compileDemands(options, known, where), index, label, undefined)
}

/** The demands with the place of a rule in the order. Spreading them would take longer than all else that a rule needs. */
function ruleOf(demands: Demands, index: number, label: string, document: string | undefined): CompiledRule {
  const rule: Writable<CompiledRule> = {
    index,
    label,
    access: demands.access,
    methods: demands.methods,
    kinds: demands.kinds,
    scopes: demands.scopes,
    roles: demands.roles,
    schemes: demands.schemes,
    audience: demands.audience,
    handshake: demands.handshake,
    givenHandshake: demands.givenHandshake,
    http: demands.http,
    upgrade: demands.upgrade,
    challenge: demands.challenge,
    agreesWithEdge: demands.agreesWithEdge,
    resourceMetadata: demands.resourceMetadata,
    allowForeignOrigins: demands.allowForeignOrigins,
    anyOrigin: demands.anyOrigin,
    document,
  }
  // Most rules have neither.
  if (demands.kindsOfSchemes === true) rule.kindsOfSchemes = true
  if (demands.closeCodes !== undefined) rule.closeCodes = demands.closeCodes
  return Object.freeze(rule)
}
