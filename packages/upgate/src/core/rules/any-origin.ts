import type { Scheme } from '../contract/credential.ts'
import type { RuleOptions } from '../contract/rules.ts'

/** The facts of a scheme that the check needs. */
export type OriginScheme = Pick<Scheme, 'name'> & Partial<Pick<Scheme, 'ambient' | 'edge'>>

/** Throws where pages of other origins could not use the rule, although it says so. */
export function checkAnyOrigin(
  {
    access,
    methods,
    schemes,
    challenge,
    dangerouslyAllowForeignOrigins,
  }: { readonly [O in keyof RuleOptions]?: RuleOptions[O] | undefined },
  known: readonly OriginScheme[],
  where: string,
): void {
  if (methods !== undefined && !methods.includes('OPTIONS')) {
    throw new TypeError(
      `${where}: \`anyOrigin\` needs 'OPTIONS' among \`methods\`: otherwise another rule decides the preflights of those pages.`,
    )
  }
  if (dangerouslyAllowForeignOrigins === true) {
    throw new TypeError(
      `${where}: \`anyOrigin\` takes requests from any Origin already, and lets no cookie count; leave \`dangerouslyAllowForeignOrigins\` out.`,
    )
  }
  if (challenge === 'auto' && access !== 'public') {
    throw new TypeError(
      `${where}: \`challenge\` can only be 'api' with \`anyOrigin\`: the cookie of a login never counts here, so browsers would be redirected in circles.`,
    )
  }
  const named = known.filter(({ name }) => schemes?.includes(name) ?? true)
  // An edge's identity can be explicit, as a service token is.
  if (schemes !== undefined && named.every(({ ambient, edge }) => ambient === true && edge !== true)) {
    throw new TypeError(
      `${where}: \`schemes\` names ${schemes.join(', ')} alone, whose credentials browsers send by themselves, and with \`anyOrigin\` those never count: nothing could ever enter. Name a scheme of tokens, or leave \`anyOrigin\` out.`,
    )
  }
}
