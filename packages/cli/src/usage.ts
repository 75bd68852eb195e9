/** The text of `upgate --help`. */
export const usage = `Usage: upgate <command> [options]

Commands
  doctor <url>          Look at every layer between here and a WebSocket, and name the one at fault
  doctor oauth <url>    Look at an OAuth-protected resource, or at an authorization server, as a client does
  node <url>            Connect to a gateway as a node, pair, and stay connected
  explain <code>        Explain a code of a diagnosis or a refusal

Options
  -h, --help            Print this, or the help of a command
      --version         Print the version

Exit status: 0 fine, 1 problem, 2 wrong usage, 3 authentication, 4 unreachable, 130 interrupted.
NO_COLOR switches colours off.
`

/** The text of `upgate doctor --help`. */
export const doctorUsage = `Usage: upgate doctor <url> [options]

Climbs from the URL to an idle connection: URL, proxy of this computer, name, TCP, TLS, HTTP, the server that answered,
admission at the edge, bot filter, upgrade, first words in band, credential, authorisation, clocks, silence. A check below a
failed one is skipped. It creates no device and no pairing request, consumes no ticket, and follows no redirect.

  --token-file <file>        Token of the gate: API key, device token, session or shared token; - reads standard input.
                             Else UPGATE_TOKEN. It is sent once, and counts as any other login attempt
  --cookie-file <file>       Cookie header, such as __Host-session=...; - reads standard input. Else UPGATE_COOKIE
  --edge-id <id>             Client id of a service token of Cloudflare Access. Else CF_ACCESS_CLIENT_ID
  --edge-secret-file <file>  Its client secret; - reads standard input. Else CF_ACCESS_CLIENT_SECRET
  --handshake <name>         auto (default), upgate, connect (OpenClaw), or header (Authorization: Bearer)
  --origin <origin>          Origin to send with the upgrade, such as https://gateway.example.com
  --expect-edge              Fail if Cloudflare Access does not protect the path
  --idle [seconds]           After the acceptance, stay silent this long (default 120) and see who ends the connection
  --timeout <seconds>        For all checks but --idle (default 30)
  --json                     Print one JSON object on standard output, and nothing else
  -q, --quiet                No progress
  -h, --help                 Print this

Exit status: 0 fine, 1 problem, 2 wrong usage, 3 authentication, 4 unreachable, 130 interrupted.
Secrets never come from arguments: other users of the computer can read those.
`

/** The text of `upgate doctor oauth --help`. */
export const oauthUsage = `Usage: upgate doctor oauth <resource or issuer> [options]

Finds the protected resource's metadata (RFC 9728) and the authorization server's (RFC 8414, OpenID Connect) as a client
does, compares what they say, and asks the token endpoint for nothing, once as a library and once as a browser. It
registers no client, and sends no credential.

  --timeout <seconds>   For all checks (default 30)
  --json                Print one JSON object on standard output, and nothing else
  -q, --quiet           No progress
  -h, --help            Print this

Exit status: 0 fine, 1 problem, 2 wrong usage, 3 authentication, 4 unreachable, 130 interrupted.
`

/** The text of `upgate node --help`. */
export const nodeUsage = `Usage: upgate node <url> [options]

Connects to a gateway as a node, stays connected, and says what happens and why something failed. Without a token, the
node proves a key of its own: the first time, it shows six characters and waits until a person approves them at the
gateway.

  --code-file <file>         Code of the gateway that lets an unknown device ask; - reads standard input. Else UPGATE_CODE
  --key-file <file>          The device's key and its token, for its owner only. The default is
                             ~/.config/upgate/nodes/<host>_<port>.json; one gateway, one key
  --token-file <file>        Token of a device, instead of a key; - reads standard input. Else UPGATE_TOKEN
  --name <name>              Name to show at the gateway. The default is the name of this computer
  --role <role>              Default: node
  --scopes <a,b>             Scopes to ask for; the person who approves decides
  --edge-id <id>             Client id of a service token of Cloudflare Access. Else CF_ACCESS_CLIENT_ID
  --edge-secret-file <file>  Its client secret; - reads standard input. Else CF_ACCESS_CLIENT_SECRET
  --handshake <name>         auto (default: by the gateway's first words), connect (OpenClaw), upgate,
                             or header (Authorization: Bearer)
  --timeout <seconds>        For one attempt (default 15)
  --dangerously-over-plain   Send tokens and codes over ws:// to another computer, too, where others can read them
  --once                     Do not connect again
  --json                     Print each event as one JSON object on a line of its own
  -h, --help                 Print this

Exit status: 1 problem, 2 wrong usage, 3 authentication, 4 unreachable, 130 interrupted (SIGINT, SIGTERM; in systemd:
SuccessExitStatus=130). Secrets never come from arguments: other users of the computer can read those.
`
