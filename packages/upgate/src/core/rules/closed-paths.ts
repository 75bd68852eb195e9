import type { ExternalLoginOptions, LoginConfiguration } from '../contract/gate.ts'
import { list, text } from '../options/option-kinds.ts'
import { type OptionTable, optionTable } from '../options/option-table.ts'
import { compileRule } from './compile-rules.ts'
import type { NamedScheme } from './demands.ts'
import { Matcher } from './matcher.ts'
import { parsePattern } from './pattern.ts'

/** The paths that an external login closes. */
export interface ClosedPaths {
  /** Whether a target, in either of its forms, is or may be read as one of them. */
  has(target: string, rewritten: string | undefined): boolean
}

/** The options of an external login. */
export const externalLoginOptions: OptionTable<ExternalLoginOptions, ExternalLoginOptions> =
  optionTable<ExternalLoginOptions>()({
    name: text('the name of the external login, for people'),
    logoutUrl: text(
      'a URL, or a path such as /cdn-cgi/access/logout',
      /^(?:https?:\/\/[^\s"<>]+|\/[^/\s"<>\\][^\s"<>\\]*)$/,
    ),
    closes: list<string>(
      "a list of the paths of the built-in login and setup, such as ['/login', '/setup']",
      (path) => typeof path === 'string',
    ),
  })

/** Compiles `externalLogin`; throws a `TypeError` for a pattern that is none. */
export function compileExternalLogin(
  { name, logoutUrl, closes }: ExternalLoginOptions,
  known: readonly NamedScheme[],
): { readonly closed: ClosedPaths; readonly configuration: LoginConfiguration } {
  const where = 'createGate: `externalLogin`'
  const rule = compileRule({ access: 'required' }, 0, '(closed)', known, where)
  const other = compileRule({ access: 'required' }, -1, '(unmatched)', known, where)
  const matcher = new Matcher(
    closes.map((path) => ({ rule, pattern: parsePattern(path, `${where}: \`closes\``) })),
    other,
  )
  return {
    closed: {
      has(target, rewritten) {
        return [target, rewritten].some((form) => {
          if (form === undefined) return false
          const match = matcher.match(form, undefined, 'GET', false)
          // Where readings differ, one of them is a closed path.
          return match === rule || match === 'ambiguous'
        })
      },
    },
    configuration: Object.freeze({ login: 'external', name, logoutUrl }),
  }
}
