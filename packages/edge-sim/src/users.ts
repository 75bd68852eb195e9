import { onlyKnown } from './check.ts'

/** A person who can log in on the simulated login page. */
export interface UserOptions {
  readonly email: string
  /** Shown on the login page. Default the part of the address before `@`. */
  readonly name?: string
  /** Two letters. Default `US`. */
  readonly country?: string
  /** Name of the team with the login page that lists this user. Default: the first team. */
  readonly team?: string
  /** The `custom` claim of their tokens (OIDC fields passed on). Default none. */
  readonly custom?: Readonly<Record<string, unknown>>
}

/** A user as the simulator keeps it. */
export interface User {
  readonly email: string
  readonly name: string
  readonly country: string
  readonly team: string
  /** The `sub` of their tokens, a UUID. */
  readonly id: string
  readonly custom: Readonly<Record<string, unknown>> | undefined
}

/** Checks a user. Throws a `TypeError` naming a bad option. */
export function createUser(options: UserOptions, team: string, id: string): User {
  onlyKnown('user', options, ['email', 'name', 'country', 'team', 'custom'])
  const { email, name = email?.split('@')[0] ?? '', country = 'US', custom } = options
  if (typeof email !== 'string' || !/^[^\s@<>"]{1,64}@[^\s@<>"]{1,190}$/.test(email)) {
    throw new TypeError(
      `user.email must be an address such as anna@example.com, got ${JSON.stringify(email)}`,
    )
  }
  if (typeof name !== 'string') throw new TypeError('user.name must be a string')
  if (!/^[A-Z]{2}$/.test(country)) throw new TypeError('user.country must be two capital letters')
  return { email, name, country, team, id, custom }
}
