import type { RuleOptions } from '../contract/rules.ts'
import { isPlain, wrongOption } from '../options/check-options.ts'
import type { Pattern } from './pattern.ts'

/** The JSON text of a rule's document; throws where the rule could not send it. */
export function documentOf(
  { document, access, upgrade, methods }: { readonly [O in keyof RuleOptions]?: RuleOptions[O] | undefined },
  patterns: readonly Pattern[],
  where: string,
): string | undefined {
  if (document === undefined) return undefined
  if (!isPlain(document)) throw wrongOption(where, 'document', 'an object that is sent as JSON', document)
  if (access !== 'public' || (upgrade !== undefined && upgrade !== false)) {
    throw new TypeError(
      `${where}: \`document\` belongs to rules with \`access: 'public'\` and without upgrades, because the gate sends it to every client.`,
    )
  }
  if (patterns.some(({ prefix, text }) => prefix || text === undefined)) {
    throw new TypeError(
      `${where}: \`document\` is one document, so \`path\` must be exact, without patterns.`,
    )
  }
  if (methods !== undefined && !methods.includes('GET')) {
    throw new TypeError(`${where}: \`document\` answers GET; add 'GET' to \`methods\`.`)
  }
  try {
    return JSON.stringify(document)
  } catch {
    throw new TypeError(`${where}: \`document\` must be an object that JSON can hold: no cycles, no BigInt.`)
  }
}
