import type { Scheme } from '../core/contract/credential.ts'
import { methods, optional, text, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import type { Accounts, LoginAnswer, LoginContext } from '../services/accounts/types.ts'
import { notOfThisForm } from './bearer.ts'

/** Options of {@link password}. Unknown options throw. */
export interface PasswordOptions {
  /** `services.accounts`, or an object with the same methods. Required. */
  readonly accounts: Pick<Accounts, 'login' | 'revocations'>
  /** Email of the account for protocols that send a password alone. Default: such passwords are refused. */
  readonly account?: string
  /** Name in rules and in `explain`; principals keep the scheme `password`. Default: `password`. */
  readonly name?: string
}

const passwordOptions = optionTable<PasswordOptions>()({
  accounts: methods<PasswordOptions['accounts']>(['login'], '`services.accounts`'),
  account: optional(text()),
  name: withDefault(text(), 'password'),
})

/** The scheme, with the function that a login page calls. */
export interface PasswordScheme extends Scheme {
  /**
   * Verifies a password and answers with its principal; see `Accounts.login` for lockout and bounds. Never
   * rejects.
   *
   * @param email - in any spelling
   * @param password - as typed
   * @param context - facts of the request; default: all unknown
   */
  login(email: string, password: string, context?: LoginContext): Promise<LoginAnswer>
}

/**
 * Authenticates by email and password, in band and for a login page; never in a request's headers.
 *
 * Both ways share one count of failures, and one bound on the hashes in flight.
 *
 * @param options - `accounts` of the services is required
 * @returns the scheme, with the function that a login page calls
 * @throws TypeError for an unknown option
 * @example
 * const login = password({ accounts: services.accounts })
 * const answer = await login.login(email, secret, { clientAddress })
 * if (answer.outcome === 'authenticated') await services.sessions.create(answer.principal.id)
 */
export function password(options: PasswordOptions): PasswordScheme {
  const { accounts, account, name } = passwordOptions.read('password', options)
  return {
    name,
    yields: ['user'],
    principalSchemes: ['password', name],
    ambient: false,
    claims: (credential) => credential.type === 'password',
    verify(credential, { clientAddress, dryRun }) {
      if (credential.type !== 'password') return notOfThisForm('a password')
      const email = credential.account ?? account
      if (email === undefined) {
        return { outcome: 'rejected', code: 'invalid_credential', reason: 'no account was named' }
      }
      return accounts.login(email, credential.value, { clientAddress, dryRun })
    },
    login: accounts.login,
    revocations: accounts.revocations,
  }
}
