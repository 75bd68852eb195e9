import { type Row, rowsOf } from '../row.ts'
import type { Answer, Seen } from '../seen.ts'

/** An answer without the marker of a gate. */
const foreign = ({ answer }: Seen): Answer | undefined => (answer?.marker === undefined ? answer : undefined)

const ngrok = (seen: Seen): string => foreign(seen)?.header('ngrok-error-code') ?? ''

/** Words in the query by which identity proxies remember where to go after the login. */
const returnTo =
  /[?&](?:rd|rm|redirect_uri|redirect_url|redirect|return_to|returnTo|next|target|go|continue|RelayState|state)=/

export const proxyLoginRows: readonly Row[] = rowsOf('proxy', [
  {
    code: 'proxy_auth_required',
    title: 'The HTTP proxy of this network wants a login',
    sees: '407 with `Proxy-Authenticate`.',
    cause:
      'The request goes through a proxy (`HTTPS_PROXY`, system settings) that demands a name and a password.',
    action:
      'Put the proxy’s credentials into the client’s proxy settings, or exempt the host with `NO_PROXY`.',
    retry: 'after_new_credential',
    matches: (seen) =>
      foreign(seen)?.status === 407 ||
      /\b407\b.*proxy|proxy authentication required/i.test(seen.error.message),
  },
  {
    code: 'proxy_attribution',
    title: 'The server does not know the proxy in front of it',
    sees: '403 with JSON in which `error.type` is `proxy_attribution_required`.',
    cause: 'The request has headers of a proxy, and the gateway (OpenClaw) was not told to trust that proxy.',
    action: 'Add the proxy’s address to the gateway’s trusted proxies.',
    retry: 'never',
    matches: (seen) => foreign(seen)?.said?.code === 'proxy_attribution_required',
  },
  {
    code: 'identity_proxy_login',
    title: 'An identity proxy in front of the server wants a login',
    sees: '302 or 303 to another host with `rd=`, `redirect_uri=` or the like, without `cf-*` headers and without `Upgate-Refusal`.',
    cause:
      'oauth2-proxy, Authelia, Authentik, Pomerium or the like protects the path, and a WebSocket client cannot log in there.',
    action:
      'Exempt the WebSocket path in the proxy (the gate authenticates it), or send the credential that the proxy accepts.',
    retry: 'after_new_credential',
    confusableWith: [
      {
        code: 'access_login_required',
        probe: 'Compare the host in `Location`: Cloudflare Access uses `*.cloudflareaccess.com`.',
      },
      { code: 'redirected', probe: 'Look at the query of `Location`: a login remembers where to return.' },
    ],
    matches: (seen) => {
      const answer = foreign(seen)
      return (
        answer !== undefined &&
        answer.status >= 300 &&
        answer.status < 400 &&
        answer.location !== undefined &&
        answer.location.host !== seen.url?.host &&
        returnTo.test(answer.location.query)
      )
    },
  },
])

export const tunnelRows: readonly Row[] = rowsOf('tunnel', [
  {
    code: 'tunnel_down',
    title: 'The tunnel is not connected to the edge',
    sees: '530 with error code 1033, usually with `Retry-After`.',
    cause: 'cloudflared does not run on the origin, or it has no connection to the edge.',
    action: 'Start cloudflared, and look at `cloudflared tunnel info`.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'edge_origin_dns',
        probe: 'Compare the error code in the body: 1016 is the name, 1033 the tunnel.',
      },
      { code: 'edge_bad_gateway', probe: 'With a running tunnel and no origin, the edge answers 502.' },
    ],
    matches: (seen) => foreign(seen)?.edgeCode === 1033,
  },
  {
    code: 'ngrok_offline',
    title: 'The ngrok endpoint is offline',
    sees: '404 with `ngrok-error-code: ERR_NGROK_3200`.',
    cause: 'The ngrok agent does not run, or uses another domain.',
    action: 'Start the agent, and compare its domain with the URL.',
    retry: 'backoff',
    matches: (seen) => ngrok(seen) === 'ERR_NGROK_3200',
  },
  {
    code: 'ngrok_upgrade_missing',
    title: 'ngrok got no `Upgrade` header',
    sees: 'An answer with `ngrok-error-code: ERR_NGROK_3206`.',
    cause: 'A proxy between the client and ngrok removed the `Upgrade` header.',
    action: 'Let that proxy keep `Connection` and `Upgrade`, or connect without it.',
    retry: 'never',
    matches: (seen) => ngrok(seen) === 'ERR_NGROK_3206',
  },
  {
    code: 'ngrok_error',
    title: 'ngrok answers with an error of its own',
    sees: 'An answer with `ngrok-error-code`.',
    cause: 'The code in the evidence is documented in ngrok’s list of errors.',
    action: 'Look up the code. 8012 means that nothing listens behind the agent.',
    retry: 'backoff',
    matches: (seen) => /^ERR_NGROK_\d{1,6}$/.test(ngrok(seen)),
  },
])

/** Whether a reverse proxy wrote the answer, by the name that it gives itself. */
const proxyServer = /^(?:nginx|openresty|haproxy|caddy|envoy|traefik|apache|awselb|squid|varnish|istio|kong)/i
const proxyBody =
  /<center>(?:nginx|openresty)|no server is available to handle this request|upstream connect error|^404 page not found\s*$/i

export const proxyRows: readonly Row[] = rowsOf('proxy', [
  {
    code: 'proxy_no_route',
    title: 'The reverse proxy has no route for this path',
    sees: '404 with a `Server` of `nginx`, `Caddy`, `HAProxy`, `envoy` or the like, without `Upgate-Refusal`.',
    cause: 'The request reached the proxy, and its configuration sends this host or path nowhere.',
    action: 'Add a route (`location`, `handle`, `backend`) for this host and path to the proxy.',
    retry: 'never',
    confusableWith: [
      {
        code: 'other_server',
        probe:
          'Ask for the application’s start page by the same host: if it is there, only the path has no route.',
      },
      { code: 'unknown_path', probe: 'Look for `Upgate-Refusal`: with it, the gate does not know the path.' },
    ],
    matches: (seen) => {
      const answer = foreign(seen)
      return (
        answer?.status === 404 &&
        !answer.cloudflare &&
        (proxyServer.test(answer.header('server')) || proxyBody.test(answer.body))
      )
    },
  },
  {
    code: 'proxy_bad_gateway',
    title: 'The reverse proxy cannot reach the server behind it',
    sees: '502 without `Upgate-Refusal` and without `cf-ray`.',
    cause: 'The server behind the proxy does not run, listens on another port, or closed the connection.',
    action: 'Start the server, and compare its port with the proxy’s upstream.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'edge_bad_gateway',
        probe: 'Look for `cf-ray` and `server: cloudflare`: with them, the edge answered.',
      },
    ],
    matches: (seen) => foreign(seen)?.status === 502,
  },
  {
    code: 'proxy_over_capacity',
    title: 'A proxy has no free server for the request',
    sees: '503 or 504 without `Upgate-Refusal` and without `cf-ray`.',
    cause: 'All servers behind the proxy are busy, fail their health checks, or do not answer in time.',
    action: 'Look at the health checks and the limits of the proxy, and wait as `Retry-After` says.',
    retry: 'backoff',
    confusableWith: [
      { code: 'over_capacity', probe: 'Look for `Upgate-Refusal`: with it, a limit of the gate is reached.' },
    ],
    matches: (seen) => {
      const status = foreign(seen)?.status
      return status === 503 || status === 504
    },
  },
])
