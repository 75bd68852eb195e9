import type { AuditLine } from './audit.ts'
import { addressHint, type SeenAddress } from './client-address.ts'

/** An audit line for a table: group, actor and content. */
export interface AuditSummary {
  readonly group: 'refusals' | 'sockets' | 'changes'
  /** Name of the actor, or the client's address. */
  readonly who: string
  readonly what: string
  /** Address of the client, with its hint; empty if no request caused the event. */
  readonly from: string
}

/** Everything that a search may find in a line, in lower case: also fields that the table has no room for. */
export function searchText({ number: _, at: __, ...fields }: AuditLine): string {
  const text = Object.values(fields).flat().join(' ')
  return `${text} ${fields.event.replaceAll('_', ' ')}`.toLowerCase()
}

/** Summarises a line of the audit trail. */
export function summarise(line: AuditLine): AuditSummary {
  return { group: groupOf(line.event), who: whoOf(line), what: whatOf(line), from: fromOf(line) }
}

function groupOf(event: string): AuditSummary['group'] {
  if (/refused|failed|wrong|distrusted/.test(event)) return 'refusals'
  return /^(socket|deferred|remote_(connected|pairing|lost|stopped))/.test(event) ? 'sockets' : 'changes'
}

function whoOf(line: AuditLine): string {
  return String(
    line.by ?? line.setBy ?? line.name ?? line.principal ?? line.principalId ?? line.credentialId ?? '',
  )
}

function fromOf({ address, addressFrom, proxy }: AuditLine): string {
  if (address === undefined) return ''
  return `${address}, ${addressHint({ addressFrom, proxy } as SeenAddress)}`
}

function whatOf(line: AuditLine): string {
  if (line.event === 'revoked') return `${line.reason}; live connections closed: ${line.closed}`
  if (line.event.startsWith('pairing_')) return aboutPairing(line)
  if (line.event.startsWith('remote_')) {
    const code = line.comparisonCode && `code ${line.comparisonCode}`
    return [line.url, line.layer, line.code, code, line.role].filter(Boolean).join(' · ')
  }
  // A user changed a device or a key.
  if (line.by !== undefined) return [line.name, line.scopes].flat().filter(Boolean).join(' · ')
  const place = line.path === undefined ? '' : `${line.method ?? ''} ${line.path}`
  const more = line.suppressed === undefined ? '' : `and ${line.suppressed} more that were not recorded`
  return [place, line.code ?? line.reason, line.detail, more].filter(Boolean).join(' · ')
}

/** Which device a line about pairing means: its name alone does not tell, because every device chooses its own. */
function aboutPairing(line: AuditLine): string {
  return [
    line.by === undefined ? '' : line.name,
    line.comparisonCode && `code ${line.comparisonCode}`,
    line.key && `key ${line.key}`,
    line.device && `device ${line.device}`,
    line.scopes,
  ]
    .flat()
    .filter(Boolean)
    .join(' · ')
}
