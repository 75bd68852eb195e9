import {
  type DeviceCookie,
  deviceCookie,
  type ExternalLoginOptions,
  type Logger,
  type Scheme,
  type Services,
  type SessionCookieScheme,
  sessionCookie,
  trustedHeader,
} from 'upgate'
import { byEmail, cloudflareAccess } from 'upgate/cloudflare-access'
import type { LoginConfig } from './config.ts'
import { ownCookies } from './http/headers.ts'
import { own } from './rules.ts'

/** The login of people. */
export interface PeopleLogin {
  readonly scheme: Scheme
  /** Only with passwords. */
  readonly cookies: { readonly session: SessionCookieScheme; readonly device: DeviceCookie } | undefined
  /** Present where Access does the login. */
  readonly external: ExternalLoginOptions | undefined
  close(): void
}

/** Creates the login. Every identity is mapped to an account of the front by its email address; none is created. */
export function createLogin(
  config: LoginConfig,
  services: Services,
  secure: boolean,
  logger: Logger,
): PeopleLogin {
  const { accounts } = services
  if (config.by === 'password') {
    const [cookieName, deviceName] = ownCookies
    const session = sessionCookie({ sessions: services.sessions, cookieName, secure, logger })
    const device = deviceCookie({ name: deviceName, secure })
    return { scheme: session, cookies: { session, device }, external: undefined, close() {} }
  }
  if (config.by === 'access') {
    const account = byEmail(accounts)
    const access = cloudflareAccess({
      issuer: config.issuer,
      audience: config.audience,
      // A service token passes the edge and grants nothing here: a node proves itself besides.
      identify: (identity) => (identity.kind === 'service' ? {} : account(identity)),
      revocations: services.revocations,
      logger,
      ...(config.simulator !== undefined && { dangerouslyTrustSimulatorAt: config.simulator }),
    })
    void access.prefetch()
    const external = {
      name: 'Cloudflare Access',
      logoutUrl: '/cdn-cgi/access/logout',
      closes: [`${own}/login`, `${own}/logout`],
    }
    return { scheme: access, cookies: undefined, external, close: () => access.close() }
  }
  const scheme = trustedHeader({
    headers: config.headers,
    peers: config.peers,
    async identify({ user, email }) {
      // A user may choose a user name, also one that looks like the address of another user.
      const address = config.headers === 'remote-user' ? user : email
      const found = address === undefined ? undefined : await accounts.byEmail(address)
      // The name shown is that of the account: the proxy's name for the user may be the user's own choice.
      return found && { ...found, displayName: found.email }
    },
    revocations: services.revocations,
    logger,
    ...(config.trustSharedPeers && { dangerouslyTrustSharedPeers: true }),
  })
  return { scheme, cookies: undefined, external: undefined, close() {} }
}
