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
  /** Present where another party does the login. */
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
  const closes = [`${own}/login`, `${own}/logout`]
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
    const external = { name: 'Cloudflare Access', logoutUrl: '/cdn-cgi/access/logout', closes }
    return { scheme: access, cookies: undefined, external, close: () => access.close() }
  }
  const scheme = trustedHeader({
    headers: config.headers,
    peers: config.peers,
    async identify({ user, email }) {
      const found = await accounts.byEmail(email ?? user)
      // The name shown is that of the account: the proxy's name for the user may be the user's own choice.
      return found && { ...found, displayName: found.email }
    },
    revocations: services.revocations,
    logger,
    ...(config.trustSharedPeers && { dangerouslyTrustSharedPeers: true }),
  })
  const external = { name: 'the proxy in front', logoutUrl: '/', closes }
  return { scheme, cookies: undefined, external, close() {} }
}
