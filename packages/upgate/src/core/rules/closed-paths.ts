import type { ExternalLoginOptions, LoginConfiguration } from '../contract/gate.ts'
import { assertKnownOptions, optionsOf } from '../options/check-options.ts'
import { compileRule, type NamedScheme } from './compile-rules.ts'
import { Matcher } from './matcher.ts'
import { parsePattern } from './pattern.ts'

/** The paths that an external login closes. */
export interface ClosedPaths {
  /** Whether a target, in either of its forms, is or may be read as one of them. */
  has(target: string, rewritten: string | undefined): boolean
}

/** Checks `externalLogin`; throws a `TypeError` that names the fault. */
export function compileExternalLogin(
  options: ExternalLoginOptions,
  known: readonly NamedScheme[],
): { readonly closed: ClosedPaths; readonly configuration: LoginConfiguration } {
  const where = 'createGate: `externalLogin`'
  assertKnownOptions(where, options, optionsOf<ExternalLoginOptions>()(['name', 'logoutUrl', 'closes']))
  const { name, logoutUrl, closes } = options
  if (typeof name !== 'string' || name === '')
    throw new TypeError(`${where}: \`name\` must say who does the login.`)
  if (
    typeof logoutUrl !== 'string' ||
    !(/^https?:\/\/[^\s"<>]+$/.test(logoutUrl) || /^\/[^/\s"<>\\][^\s"<>\\]*$/.test(logoutUrl))
  ) {
    throw new TypeError(`${where}: \`logoutUrl\` must be a URL, or a path such as /cdn-cgi/access/logout.`)
  }
  if (!Array.isArray(closes) || closes.length === 0) {
    throw new TypeError(
      `${where}: \`closes\` must list the paths of the built-in login and setup, such as ['/login', '/setup'].`,
    )
  }
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
