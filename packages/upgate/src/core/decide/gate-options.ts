import type { Scheme } from '../contract/credential.ts'
import type { GateOptions, RequireOptions, SetupOptions } from '../contract/gate.ts'
import { isPlain } from '../options/check-options.ts'
import {
  clock as clockKind,
  fn,
  list,
  logger as loggerKind,
  optional,
  optionalNested,
  text,
  unchecked,
  value,
  withDefault,
} from '../options/option-kinds.ts'
import { type OptionTable, optionTable } from '../options/option-table.ts'
import { externalLoginOptions } from '../rules/closed-paths.ts'
import type { Matcher } from '../rules/matcher.ts'
import { ruleOptions } from '../rules/rule-options.ts'

const {
  path: _path,
  methods: _methods,
  access: _access,
  upgrade: _upgrade,
  handshake: _handshake,
  closeCodes: _closeCodes,
  document: _document,
  ...demandKinds
} = ruleOptions.kinds
/** The options of `gate.require`. */
export const requireOptions: OptionTable<RequireOptions, unknown> = optionTable<RequireOptions>()(demandKinds)

const aPage = 'the path of a page that a public rule lets in'

/** The options of a gate after reading. */
export type ReadGateOptions = { readonly [O in keyof GateOptions]-?: GateOptions[O] | undefined } & Required<
  Pick<GateOptions, 'rules' | 'name'>
>

/** The options of a gate; those that depend on others are checked below and where they are compiled. */
export const gateOptions: OptionTable<GateOptions, ReadGateOptions> = optionTable<GateOptions>()({
  // Checked scheme by scheme.
  schemes: unchecked(),
  rules: withDefault(
    list('an array of rules', () => true, 0),
    [],
  ),
  origins: optional(list("a list such as ['https://gateway.example.com']", () => true, 0)),
  hosts: optional(list("a list such as ['localhost:8787']", () => true, 0)),
  trustedProxies: unchecked(),
  cloudflareRanges: unchecked(),
  // Checked together with the schemes.
  ignoreAuthorization: unchecked(),
  login: optionalNested(
    optionTable<NonNullable<GateOptions['login']>>()({ page: text(aPage) }),
    "{ page: '/login' }",
  ),
  setup: optionalNested(
    optionTable<SetupOptions>()({
      page: text(aPage),
      required: fn('a function that says whether there is no account yet'),
    }),
    "{ page: '/setup', required: () => false }",
  ),
  externalLogin: optionalNested(externalLoginOptions),
  name: withDefault(
    text('1 to 64 letters, digits, dots, dashes or underscores', /^[A-Za-z0-9._-]{1,64}$/),
    'upgate',
  ),
  // Checked header by header.
  refusalHeaders: optional(
    value<Readonly<Record<string, string>>>(
      "an object such as { 'Referrer-Policy': 'no-referrer' }",
      isPlain,
    ),
  ),
  clock: optional(clockKind()),
  logger: optional(loggerKind()),
})

/** Throws where cookies or sockets need origins and none are given. */
export function checkOrigins(
  options: Pick<GateOptions, 'rules'> & { readonly origins: GateOptions['origins'] | undefined },
  schemes: readonly Scheme<never>[] | readonly Scheme[],
): void {
  if (options.origins !== undefined && options.origins.length > 0) return
  const ambient = schemes.find((scheme) => scheme.ambient)
  if (ambient !== undefined) {
    throw new TypeError(
      `createGate: \`origins\` is required, because the scheme ${JSON.stringify(ambient.name)} is sent by browsers on their own. List the origins of your pages, for example ['https://gateway.example.com'].`,
    )
  }
  if (options.rules?.some((rule) => rule.access === 'deferred') === true) {
    throw new TypeError(
      "createGate: `origins` is required, because a rule is deferred and any web page can open a WebSocket. List the origins of your pages, for example ['https://gateway.example.com'].",
    )
  }
}

/** A login page that itself demands a login would send browsers round in circles. */
export function checkPage(option: 'login' | 'setup', page: string | undefined, matcher: Matcher): void {
  if (page === undefined) return
  const match = page.startsWith('/') ? matcher.match(page, undefined, 'GET', false) : 'ambiguous'
  if (
    typeof match === 'string' ||
    'malformed' in match ||
    (match.access !== 'public' && match.access !== 'optional')
  ) {
    throw new TypeError(
      `createGate: \`${option}.page\` ${JSON.stringify(page)} must be a path that a public rule lets in, or browsers would be redirected in circles. Add { path: ${JSON.stringify(page)}, access: 'public' } to \`rules\`.`,
    )
  }
}
