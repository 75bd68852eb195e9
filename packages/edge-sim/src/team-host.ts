import type { JWTPayload } from 'jose'
import { forbiddenPage } from './access.ts'
import { type Answer, html, json, redirect, type Verdict } from './answer.ts'
import { type Application, coversHost } from './applications.ts'
import { orgClaims, userClaims } from './claims.ts'
import { cookieValue, setCookie } from './cookies.ts'
import { TOKEN_COOKIE } from './credentials.ts'
import type { EdgeRequest } from './edge-request.ts'
import { loginPage } from './login-page.ts'
import { createOneTime } from './one-time.ts'
import { admitsUser } from './policies.ts'
import { readForm } from './read-form.ts'
import { hex } from './secrets.ts'
import type { Session } from './sessions.ts'
import { isLocalPath, queryOf } from './target.ts'
import type { Team } from './teams.ts'
import type { User } from './users.ts'
import { hostOrigin, teamOrigin, type World } from './world.ts'

const LOGIN = '/cdn-cgi/access/login/'
const LOGIN_PAGE_MS = 10 * 60_000
const HANDOVER_MS = 60_000
const CERTS = '/cdn-cgi/access/certs'
const MAX_CERTS_BYTES = 1024 * 1024

/** A login that is under way: where it leads back to, validated. */
interface Login {
  readonly team: Team
  readonly application: Application
  readonly host: string
  readonly back: string
}

interface Handover extends Login {
  readonly session: Session
  readonly user: User
}

/** The parts of Access that are no proxy: login, logout, identity and keys, on team hosts and on application hosts. */
export interface Identities {
  /** Answers a request to a team's own host. */
  onTeamHost(request: EdgeRequest, team: Team): Promise<Verdict>
  /** Answers `/cdn-cgi/access/*` on an application's host. */
  onApplicationHost(request: EdgeRequest, application: Application): Promise<Verdict>
  /** Opens a session without a page and answers the claims of its application token. */
  logIn(application: Application, user: User): JWTPayload
}

/** Makes them. */
export function createIdentities(world: World): Identities {
  const pages = createOneTime<Login>(world.clock, world.random, LOGIN_PAGE_MS)
  const handovers = createOneTime<Handover>(world.clock, world.random, HANDOVER_MS)
  const secure = world.urls === 'cloudflare'
  const clearCookie = ['set-cookie', setCookie(TOKEN_COOKIE, '', 0, secure)] as const

  function openSession(team: Team, user: User): Session {
    const session = { nonce: hex(world.random, 8), email: user.email, team: team.name }
    world.sessions.open(session)
    return session
  }

  async function sessionOf(request: EdgeRequest, team: Team): Promise<Session | undefined> {
    const token = cookieValue(request.raw.headers.cookie, TOKEN_COOKIE)
    const claims = token === undefined ? undefined : await team.keys.verify(token)
    if (claims?.iss !== team.issuer || (claims.type !== 'org' && claims.type !== 'app')) return undefined
    const session = world.sessions.find(claims.identity_nonce)
    return session?.team === team.name ? session : undefined
  }

  /** Where a login may lead: an application with this AUD on this host, and a path there. Nothing else. */
  function readLogin(request: EdgeRequest, team: Team): Login | undefined {
    const query = queryOf(request.target)
    const host = request.path.slice(LOGIN.length).replaceAll(/%3a/gi, ':').toLowerCase()
    const [, hostname = '', port] = /^([a-z0-9.-]+)(?::(\d+))?$/.exec(host) ?? []
    const back = query.get('redirect_url') ?? '/'
    if (port !== undefined && Number(port) !== world.port()) return undefined
    if (!isLocalPath(back)) return undefined
    for (const application of world.applications.values()) {
      if (application.team !== team || application.aud !== query.get('kid')) continue
      if (coversHost(application.host, hostname)) return { team, application, host, back }
    }
    return undefined
  }

  async function finish(login: Login, user: User, session: Session): Promise<Answer> {
    const { application, team, host } = login
    const org = await team.keys.sign(orgClaims(world, team, user, session))
    const cookie = ['set-cookie', setCookie(TOKEN_COOKIE, org, 86_400, secure)] as const
    if (!admitsUser(application.settings.policies, user.email))
      return { ...forbiddenPage([cookie]), application }
    const nonce = handovers.put({ ...login, session, user })
    return redirect(`${hostOrigin(world, host)}/cdn-cgi/access/authorized?nonce=${nonce}`, 'team', [cookie])
  }

  async function login(request: EdgeRequest, team: Team): Promise<Answer> {
    const wanted = readLogin(request, team)
    if (wanted === undefined) {
      const body = '<h1>Invalid login URL</h1><p>Unknown application, or a redirect that leaves it.</p>'
      return html(400, 'team', 'Error ・ Cloudflare Access', body)
    }
    const session = await sessionOf(request, team)
    const known = session === undefined ? undefined : world.users.get(session.email)
    if (session !== undefined && known !== undefined) return finish(wanted, known, session)
    const users = [...world.users.values()].filter((user) => user.team === team.name)
    // The state ties the form to a page this edge has shown: no foreign page can log anybody in.
    return loginPage(team.name, wanted.host, '/cdn-cgi/access/callback', pages.put(wanted), users)
  }

  async function callback(request: EdgeRequest, team: Team): Promise<Answer> {
    const site = request.raw.headers['sec-fetch-site']
    const form = await readForm(request.raw)
    const started = pages.take(form?.get('state') ?? undefined)
    const user = world.users.get(form?.get('email') ?? '')
    const foreign = site !== undefined && site !== 'same-origin'
    if (foreign || started?.team !== team || user?.team !== team.name) {
      return html(
        400,
        'team',
        'Error ・ Cloudflare Access',
        '<h1>This login has expired</h1><p>Start again.</p>',
      )
    }
    return finish(started, user, openSession(team, user))
  }

  async function authorized(request: EdgeRequest): Promise<Answer> {
    const handover = handovers.take(queryOf(request.target).get('nonce') ?? undefined)
    if (handover?.host !== request.host) {
      return html(
        400,
        'session',
        'Error ・ Cloudflare Access',
        '<h1>This login has expired</h1><p>Start again.</p>',
      )
    }
    const { application, user, session, back } = handover
    const token = await application.team.keys.sign(userClaims(world, application, user, session))
    const cookie = setCookie(TOKEN_COOKIE, token, application.settings.sessionSeconds, secure)
    return redirect(back, 'session', [['set-cookie', cookie]])
  }

  async function logout(request: EdgeRequest, team: Team): Promise<Answer> {
    const session = await sessionOf(request, team)
    if (session !== undefined) world.sessions.end(session.nonce, team.settings.logoutDelaySeconds)
    const body = '<h1>You are logged out</h1><p>All applications follow within half a minute.</p>'
    return html(200, 'session', 'Logged out ・ Cloudflare Access', body, [clearCookie])
  }

  async function identity(request: EdgeRequest, team: Team): Promise<Answer> {
    const session = await sessionOf(request, team)
    const user = session === undefined ? undefined : world.users.get(session.email)
    if (user === undefined) return json(400, 'session', { err: 'no app token set' })
    return json(200, 'session', {
      id: user.id,
      name: user.name,
      email: user.email,
      user_uuid: user.id,
      idp: { id: team.name, type: 'onetimepin' },
      geo: { country: user.country },
      ip: request.address,
      service_token_status: false,
      is_warp: false,
      is_gateway: false,
      ...(user.custom === undefined ? {} : { custom: user.custom }),
    })
  }

  async function certs(request: EdgeRequest, team: Team): Promise<Verdict> {
    const fault = world.faults.hit(request, ['jwks'])
    const outage = 'jwks_outage'
    if (fault?.mode === 'silence') return { kind: 'silence', outcome: outage }
    if (fault?.mode === 'error') return json(500, outage, { error: 'internal error' })
    if (fault?.mode === 'redirect') return redirect(`${teamOrigin(world, team)}${CERTS}/moved`, outage)
    if (fault?.mode === 'html') return html(200, outage, 'Just a moment...', '<p>These are not the keys.</p>')
    const document = await team.keys.document()
    // Right in every key, and still to be refused: the answer must be cut off by its size alone.
    if (fault?.mode === 'oversize')
      return json(200, outage, { ...document, padding: ' '.repeat(MAX_CERTS_BYTES) })
    return json(200, 'jwks', document)
  }

  async function shared(request: EdgeRequest, team: Team): Promise<Verdict> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return notFound()
    if (request.path === CERTS) return certs(request, team)
    // Only the `redirect` fault leads here: the right keys, for a client that should not have followed.
    if (request.path === `${CERTS}/moved`) return json(200, 'jwks', await team.keys.document())
    if (request.path === '/cdn-cgi/access/get-identity') return identity(request, team)
    if (request.path === '/cdn-cgi/access/logout') return logout(request, team)
    return notFound()
  }

  return {
    async onTeamHost(request, team) {
      if (request.path.startsWith(LOGIN) && request.method === 'GET') return login(request, team)
      if (request.path === '/cdn-cgi/access/callback' && request.method === 'POST')
        return callback(request, team)
      return shared(request, team)
    },
    async onApplicationHost(request, application) {
      if (request.path === '/cdn-cgi/access/authorized' && request.method === 'GET')
        return authorized(request)
      return shared(request, application.team)
    },
    logIn: (application, user) => userClaims(world, application, user, openSession(application.team, user)),
  }
}

function notFound(): Answer {
  return html(404, 'team', 'Not found ・ Cloudflare Access', '<h1>Not found</h1>')
}
