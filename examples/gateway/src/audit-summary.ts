import type { AuditLine } from './audit.ts'

/** An audit line in three words, for a table. */
export interface AuditSummary {
  readonly group: 'refusals' | 'sockets' | 'changes'
  /** Who did it, or from where. */
  readonly who: string
  readonly what: string
}

/** Says in short what a line is about. */
export function summarise(line: AuditLine): AuditSummary {
  return { group: groupOf(line.event), who: whoOf(line), what: whatOf(line) }
}

function groupOf(event: string): AuditSummary['group'] {
  if (/refused|failed|wrong|distrusted/.test(event)) return 'refusals'
  return /^(socket|deferred)/.test(event) ? 'sockets' : 'changes'
}

function whoOf(line: AuditLine): string {
  return String(
    line.by ?? line.name ?? line.principal ?? line.principalId ?? line.credentialId ?? line.address ?? '',
  )
}

function whatOf(line: AuditLine): string {
  if (line.event === 'revoked') return `${line.reason}; live connections closed: ${line.closed}`
  // What somebody did to a device or a key.
  if (line.by !== undefined) return [line.name, line.scopes].flat().filter(Boolean).join(' · ')
  const place = line.path === undefined ? '' : `${line.method ?? ''} ${line.path}`
  const more = line.suppressed === undefined ? '' : `and ${line.suppressed} more that were not recorded`
  return [place, line.code ?? line.reason, line.detail, more].filter(Boolean).join(' · ')
}
