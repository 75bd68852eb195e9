import { type Row, rowsOf } from '../row.ts'
import type { Seen } from '../seen.ts'

const serviceToken = ({ sent }: Seen): boolean => sent.has('edge_service_token')
const userToken = ({ sent }: Seen): boolean => sent.has('edge_user_token')

/** An answer of Cloudflare Access that is no gate's. */
const byAccess = ({ answer }: Seen): boolean =>
  answer !== undefined && answer.marker === undefined && answer.access

const login = (seen: Seen): boolean => byAccess(seen) && seen.answer?.accessLogin === true
const status = (seen: Seen, code: number): boolean => byAccess(seen) && seen.answer?.status === code

export const accessRows: readonly Row[] = rowsOf('edge-access', [
  {
    code: 'access_keys_unreachable',
    title: 'The keys of the Access team cannot be fetched',
    sees: 'The client does not send a user’s token of Cloudflare Access; the document `/cdn-cgi/access/certs` of the team’s domain has no answer, or not the keys.',
    cause:
      'A firewall or a proxy keeps this computer from `*.cloudflareaccess.com`, or Cloudflare has an outage. Without the keys, nothing shows that the server may have the token.',
    action:
      'Open `https://<team>.cloudflareaccess.com/cdn-cgi/access/certs` from this computer, and let it through.',
    retry: 'backoff',
    matches: ({ error }) => error.code === 'access_keys_unreachable',
  },
  {
    code: 'access_oauth',
    title: 'Cloudflare Access demands OAuth',
    sees: '401 with `WWW-Authenticate: Bearer` and `resource_metadata` that names `cloudflare-access-protected-resource`.',
    cause:
      'Managed OAuth is on for this Access application, so that the edge expects an access token of its own.',
    action:
      'Run the OAuth flow that the metadata describe. For an application with its own authorization server, switch Managed OAuth off.',
    retry: 'after_new_credential',
    confusableWith: [
      {
        code: 'other_server_auth',
        probe: 'Look for `cloudflare-access-protected-resource` in `WWW-Authenticate`.',
      },
    ],
    matches: ({ answer }) =>
      answer?.marker === undefined &&
      answer?.status === 401 &&
      /^\s*Bearer\b/i.test(answer.header('www-authenticate')) &&
      answer.header('www-authenticate').includes('cloudflare-access-protected-resource'),
  },
  {
    code: 'access_redirect_followed',
    title: 'A redirect to the login of Cloudflare Access was followed',
    sees: '200 with an HTML page from `*.cloudflareaccess.com`, or with the title "Sign in ・ Cloudflare Access".',
    cause:
      'Access redirected to its login, and the client followed. Headers with secrets may have gone to the login host.',
    action: 'Do not follow redirects (`redirect: "manual"`), and send a service token.',
    retry: 'after_new_credential',
    matches: ({ answer }) =>
      answer !== undefined &&
      answer.marker === undefined &&
      answer.status === 200 &&
      answer.html &&
      ((answer.url !== undefined && answer.access) ||
        /<title>[^<]{0,120}Cloudflare Access/i.test(answer.body)),
  },
  {
    code: 'access_user_token_expired',
    title: 'Cloudflare Access no longer accepts the user’s token',
    sees: 'A redirect to the login of Access, or 401 or 403 from it, although a user token was sent.',
    cause: 'The token has expired, or the session was revoked.',
    action: 'Log in again: `cloudflared access login <url>`.',
    retry: 'after_new_credential',
    matches: (seen) =>
      !serviceToken(seen) && userToken(seen) && (login(seen) || status(seen, 401) || status(seen, 403)),
  },
  {
    code: 'access_not_admitted',
    title: 'The service token is valid, and no policy of Access admits it',
    sees: 'A redirect to the login of Access with `service_token_status: true` in its `meta`.',
    cause:
      'The policy’s action is Allow, which sends even a valid service token to the login, or it does not include this token.',
    action:
      'In the Access application, add a policy with the action Service Auth that includes this service token.',
    retry: 'never',
    confusableWith: [
      {
        code: 'access_token_unknown',
        probe: 'Read `service_token_status` in the `meta` of the redirect: true is this case.',
      },
    ],
    matches: (seen) => login(seen) && serviceToken(seen) && seen.answer?.tokenRecognised === true,
  },
  {
    code: 'access_token_unknown',
    title: 'Cloudflare Access does not recognise the service token',
    sees: 'A redirect to the login of Access although a service token was sent; `service_token_status` is false or missing.',
    cause:
      'The id or the secret is wrong, the token has expired or was deleted, or it belongs to another account.',
    action:
      'Compare the client id, and its expiry, with the list of service tokens in Zero Trust. If in doubt, rotate the secret and send the new one.',
    retry: 'after_new_credential',
    confusableWith: [
      {
        code: 'access_not_admitted',
        probe: 'Read `service_token_status` in the `meta` of the redirect: true is the other case.',
      },
    ],
    matches: (seen) => login(seen) && serviceToken(seen),
  },
  {
    code: 'access_login_required',
    title: 'Cloudflare Access wants a login, and nothing was sent',
    sees: 'A redirect to `*.cloudflareaccess.com/cdn-cgi/access/login`, or 401 or 403 with `cf-access-*` headers, and no credential for Access was sent.',
    cause:
      'The path is protected by Access. The gate’s own credentials (Bearer, cookie, first frame) do not count there.',
    action:
      'Create a service token in Zero Trust with a Service Auth policy, and send `CF-Access-Client-Id` and `CF-Access-Client-Secret`; or log in with `cloudflared access login`.',
    retry: 'after_new_credential',
    confusableWith: [
      {
        code: 'identity_proxy_login',
        probe: 'Compare the host in `Location`: Access uses `*.cloudflareaccess.com`.',
      },
    ],
    matches: (seen) => !serviceToken(seen) && (login(seen) || status(seen, 401) || status(seen, 403)),
  },
  {
    code: 'access_rejected',
    title: 'Cloudflare Access cannot authenticate the service token',
    sees: '401 with `cf-access-domain` or `WWW-Authenticate: Cloudflare-Access`, although a service token was sent.',
    cause: 'Strict mode: the id or the secret is wrong, expired or deleted. It is never a redirect there.',
    action:
      'Compare the client id, and its expiry, with the list of service tokens in Zero Trust. If in doubt, rotate the secret and send the new one.',
    retry: 'after_new_credential',
    confusableWith: [
      {
        code: 'access_forbidden',
        probe: 'Compare the status: 401 is an unknown token, 403 a token without a policy.',
      },
    ],
    matches: (seen) => serviceToken(seen) && status(seen, 401),
  },
  {
    code: 'access_forbidden',
    title: 'Cloudflare Access refuses the service token',
    sees: '403 with `cf-access-aud`, although a service token was sent.',
    cause:
      'Strict mode: the token is valid, and no policy includes it. In the older mode also a wrong or expired token is answered so.',
    action:
      'Add the service token to a Service Auth policy of this application. Without strict mode, check its id, secret and expiry as well.',
    retry: 'never',
    confusableWith: [
      { code: 'access_rejected', probe: 'Compare the status: in strict mode an unknown token is 401.' },
    ],
    matches: (seen) => serviceToken(seen) && status(seen, 403),
  },
])

/** After every refusal: the way was open although it should not be. */
export const accessMissingRows: readonly Row[] = rowsOf('edge-access', [
  {
    code: 'access_missing',
    severity: 'warning',
    title: 'The path is not protected by Cloudflare Access',
    sees: 'An answer of the origin, without any credential for Access, on a path that Access should protect.',
    cause:
      'A Bypass policy covers the path, the Access application names another host or path, or the client went around the edge.',
    action: 'Compare host and path of the Access application with this URL, and look for Bypass policies.',
    retry: 'never',
    matches: ({ expectedEdge, sent, answer, upgraded, reached }) =>
      expectedEdge &&
      !sent.has('edge_service_token') &&
      !sent.has('edge_user_token') &&
      (answer?.marker !== undefined ||
        (answer !== undefined && answer.status >= 200 && answer.status < 300 && !answer.access) ||
        (answer === undefined && (upgraded !== undefined || reached === 'open' || reached === 'accepted'))),
  },
])
