import type { RemoteRecord } from './records.ts'
import { isEncryptedOrLocal, type SecretName, secretNames } from './settings.ts'
import type { RemoteState } from './state.ts'

/** The connection to another gateway as the API and the page show it: never a secret. */
export interface RemoteView extends RemoteState {
  /** The state in words. */
  readonly stateName: string
  /** The role and the scopes granted, in words; empty unless connected. */
  readonly grantedAs: string
  readonly url: string | null
  readonly setBy: string | null
  /** ISO 8601. */
  readonly setAt: string | null
  /** Which secrets are stored. */
  readonly secrets: Readonly<Record<SecretName, boolean>>
  /** Whether the other gateway has approved this one and made a token for it. */
  readonly paired: boolean
  /** Whether others on the way can read the token. */
  readonly plain: boolean
  /** Why no connection can be set; `null` if it can. */
  readonly unavailable: string | null
}

/** Each state, as a person reads it. */
const stateNames: Readonly<Record<RemoteState['state'], string>> = {
  off: 'Not connected',
  connecting: 'Connecting',
  authenticating: 'Connected, not accepted yet',
  connected: 'Connected',
  pairing: 'Waiting for approval at the other gateway',
  waiting: 'Not connected',
  stopped: 'Stopped: another attempt would get the same answer',
  locked: 'Locked',
}

/** Shows a record and its state. */
export function viewOf(
  state: RemoteState,
  record: RemoteRecord | undefined,
  unavailable: string | null,
): RemoteView {
  const { granted } = state
  const stored = (field: string): boolean => record !== undefined && Object.hasOwn(record.sealed, field)
  return {
    ...state,
    stateName: stateNames[state.state],
    grantedAs: granted === undefined ? '' : [granted.role ?? 'node', ...granted.scopes].join(', '),
    url: record?.url ?? null,
    setBy: record?.setBy ?? null,
    setAt: record === undefined ? null : new Date(record.setAt).toISOString(),
    secrets: Object.fromEntries(secretNames.map((each) => [each, stored(each)])) as RemoteView['secrets'],
    paired: stored('deviceToken'),
    plain: record !== undefined && !isEncryptedOrLocal(record.url),
    unavailable,
  }
}
