import type { Acceptance } from '@upgate/client'
import { clean, type Diagnosis, withoutSecrets } from '@upgate/diagnosis'
import type { Io } from '../io.ts'
import { createPaint } from '../terminal/report.ts'

/** The events of a node, each a line of JSON with `--json`. */
export type NodeEvent =
  | { readonly event: 'key'; readonly file: string; readonly isNew: boolean }
  | { readonly event: 'connecting'; readonly url: string; readonly attempt: number }
  | { readonly event: 'pairing'; readonly comparisonCode: string | undefined }
  | { readonly event: 'paired'; readonly file: string }
  | {
      readonly event: 'accepted'
      readonly roles: readonly string[]
      readonly scopes: readonly string[]
      readonly principal?: Acceptance['principal']
      readonly expiresAt?: string
    }
  | { readonly event: 'message'; readonly text: string }
  | { readonly event: 'message'; readonly bytes: number }
  | ({ readonly event: 'failed'; readonly hint?: string } & Pick<
      Diagnosis,
      'code' | 'layer' | 'severity' | 'title' | 'evidence' | 'cause' | 'action' | 'link' | 'retry'
    >)
  | { readonly event: 'waiting'; readonly seconds: number }
  | { readonly event: 'offline' }
  | { readonly event: 'warning'; readonly text: string }
  | { readonly event: 'closed'; readonly code: string | undefined }

/** Longest message of the gateway that is shown, in characters. */
const longestMessage = 500

/** Says what happens: in words, or as lines of JSON. Nothing that it prints holds one of these secrets. */
export function createNarrator(
  io: Io,
  {
    json,
    secrets,
    now,
  }: {
    readonly json: boolean
    readonly secrets: () => readonly (string | undefined)[]
    readonly now: () => number
  },
): (event: NodeEvent) => void {
  const paint = createPaint(io)
  let failure: string | undefined
  let pending = false

  const words = (event: NodeEvent): readonly string[] => {
    switch (event.event) {
      case 'key':
        return event.isNew ? [`A key was created for this device: ${event.file}`] : []
      case 'connecting':
        return failure === undefined && !pending ? [`Connecting to ${event.url}`] : []
      case 'pairing':
        return [
          paint('bold', `Comparison code: ${event.comparisonCode ?? 'the gateway shows it'}`),
          'Approve this device at the gateway, if its page shows the same code. Waiting.',
        ]
      case 'paired':
        return [`Paired: the token is kept next to the key, in ${event.file}`]
      case 'accepted':
        return [paint('green', accepted(event))]
      case 'message':
        return [
          'text' in event
            ? `< ${clean(event.text, longestMessage)}`
            : `< a message of ${event.bytes} bytes that is no text`,
        ]
      case 'failed':
        return failed(event)
      case 'waiting':
        return pending ? [] : [`Trying again in ${event.seconds.toFixed(1)} s.`]
      case 'offline':
        return ['There is no network. Waiting for one.']
      case 'warning':
        return [`${paint('yellow', 'Warning:')} ${event.text}`]
      case 'closed':
        return event.code === undefined ? ['Closed.'] : [`Ended. More: upgate explain ${event.code}`]
    }
  }
  /** In full the first time; a server that stays away would fill the log. */
  const failed = (event: Extract<NodeEvent, { event: 'failed' }>): readonly string[] => {
    if (event.code === 'pairing_required') return []
    const again = failure === event.code
    failure = event.code
    const head = `${paint('red', event.title)} ${paint('dim', `(${event.layer}, ${event.code})`)}`
    if (again) return [`Still: ${head}`]
    return [
      head,
      event.cause,
      ...event.evidence.slice(0, 6).map(({ name, value }) => `  ${paint('dim', `${name}:`)} ${value}`),
      `${paint('bold', 'Next:')} ${event.action}`,
      ...(event.hint === undefined ? [] : [event.hint]),
    ]
  }

  return (raw) => {
    const event = withoutSecrets(raw, secrets())
    const time = new Date(now()).toISOString()
    if (json) io.stdout.write(`${JSON.stringify({ time, ...event })}\n`)
    else for (const line of words(event)) io.stdout.write(`${paint('dim', time.slice(11, 19))} ${line}\n`)
    if (event.event === 'accepted') failure = undefined
    if (event.event === 'pairing') pending = true
    if (event.event === 'accepted' || (event.event === 'failed' && event.code !== 'pairing_required'))
      pending = false
  }
}

/** The server chose all of it. */
function accepted({
  roles,
  scopes,
  principal,
  expiresAt,
}: Extract<NodeEvent, { event: 'accepted' }>): string {
  const list = (names: readonly string[]): string => clean(names.slice(0, 12).join(', '), 160)
  const name =
    principal === undefined
      ? list(roles) || 'a client without a role'
      : `${clean(principal.kind, 20)} ${clean(principal.id, 60)}`
  return [
    `Accepted as ${name}`,
    ...(scopes.length === 0 ? [] : [`scopes: ${list(scopes)}`]),
    ...(expiresAt === undefined ? [] : [`until ${expiresAt}`]),
  ].join('; ')
}
