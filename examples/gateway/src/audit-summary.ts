import type { AuditLine } from './audit.ts'

/** An audit line for a table: group, actor and content. */
export interface AuditSummary {
  readonly group: 'refusals' | 'sockets' | 'changes'
  /** Name of the actor, or the client's address. */
  readonly who: string
  readonly what: string
}

/** Summarises a line of the audit trail. */
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
  // A user changed a device or a key.
  if (line.by !== undefined) return [line.name, line.scopes].flat().filter(Boolean).join(' · ')
  const place = line.path === undefined ? '' : `${line.method ?? ''} ${line.path}`
  const more = line.suppressed === undefined ? '' : `and ${line.suppressed} more that were not recorded`
  return [place, line.code ?? line.reason, line.detail, more].filter(Boolean).join(' · ')
}
