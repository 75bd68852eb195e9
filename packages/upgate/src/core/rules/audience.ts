import type { Scheme } from '../contract/credential.ts'
import type { Principal } from '../contract/principal.ts'
import type { CompiledRule, RuleOptions } from '../contract/rules.ts'

/**
 * Checks the `audience` of a rule. Throws where no scheme takes one of its entries: a token for it could never count, and
 * a rule with a misspelt AUD would be closed without a word.
 */
export function audienceOf(
  { audience, access }: Omit<RuleOptions, 'path'>,
  known: readonly Partial<Pick<Scheme, 'audiences'>>[],
  where: string,
): readonly string[] | undefined {
  if (audience === undefined) return undefined
  if (access === 'public') {
    throw new TypeError(`${where}: a public rule demands nothing; \`audience\` has no meaning there.`)
  }
  const taken = new Set(known.flatMap(({ audiences }) => audiences ?? []))
  const at = audience.findIndex((tag) => !taken.has(tag))
  if (at !== -1) {
    throw new TypeError(
      taken.size === 0
        ? `${where}: \`audience\` needs a scheme of an edge, such as cloudflareAccess({ team, audience }), among \`schemes\` of the gate.`
        : `${where}: \`audience[${at}]\` is an AUD tag that no scheme of this gate takes; add it to \`audience\` of cloudflareAccess, or correct it.`,
    )
  }
  return Object.freeze([...audience])
}

/** Whether an identity of the edge is of an application that a rule takes. */
export function isForAudience(rule: Pick<CompiledRule, 'audience'>, { audiences }: Principal): boolean {
  const { audience } = rule
  return audience === undefined || audiences?.some((tag) => audience.includes(tag)) === true
}

/** The sentence for a client with an identity of another application. */
export const otherApplication =
  'The identity was issued for another application of the edge than this path takes.'
