import type { AuditLine } from '../audit.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { liveState, time } from './parts.ts'

/** How many lines the page shows; the log has them all. */
export const auditPageLines = 200

export interface AuditPageOptions {
  readonly account: string
  readonly lines: readonly AuditLine[]
}

/** What happened since the start, newest first. */
export function auditPage({ account, lines }: AuditPageOptions): Html {
  return page({
    title: 'Audit',
    path: '/audit',
    account,
    script: 'audit',
    body: html`<div class="page-head"><h1>Audit</h1>${liveState}</div>
<p class="hint">The newest ${auditPageLines} events since the start of the gateway. Every one is also a line of JSON in its log; secrets are in neither.</p>
<div class="inline-form">
  <div class="field">
    <label for="filter">Show</label>
    <select id="filter">
      <option value="all">Everything</option>
      <option value="refusals">Refusals</option>
      <option value="sockets">Sockets</option>
      <option value="changes">Logins and changes</option>
    </select>
  </div>
</div>
<div class="panel">
  <table id="audit" data-limit="${auditPageLines}"${lines.length === 0 && html` hidden`}>
    <thead><tr><th scope="col">Time</th><th scope="col">Event</th><th scope="col">Who</th><th scope="col">What</th></tr></thead>
    <tbody>${lines.slice(0, auditPageLines).map(auditRow)}</tbody>
  </table>
  <div class="empty" id="audit-empty"${lines.length > 0 && html` hidden`}>
    <p class="empty-title">Nothing to show.</p>
    <p>Log in somewhere else, or connect a node, and it appears here at once.</p>
  </div>
</div>
<template id="audit-row">${auditRow({ number: 0, at: '', event: '' })}</template>`,
  })
}

function auditRow(line: AuditLine): Html {
  return html`<tr data-group="${groupOf(line.event)}">
  <td data-label="Time" data-f="at">${time(line.at, 'clock')}</td>
  <th scope="row"><span class="tag" data-f="event" data-tone="${groupOf(line.event)}">${line.event.replaceAll('_', ' ')}</span></th>
  <td data-label="Who" data-f="who">${whoOf(line)}</td>
  <td data-label="What" class="what" data-f="what">${whatOf(line)}</td>
</tr>`
}

// The page's module has the same three functions, for the lines that arrive later.

function groupOf(event: string): string {
  if (/refused|failed|wrong/.test(event)) return 'refusals'
  if (/^(socket|deferred)/.test(event)) return 'sockets'
  return 'changes'
}

function whoOf(line: AuditLine): string {
  return String(line.name ?? line.principal ?? line.by ?? line.address ?? '')
}

function whatOf(line: AuditLine): string {
  const place = line.path === undefined ? '' : `${line.method ?? ''} ${line.path}`
  const reason = line.code ?? line.reason ?? ''
  const detail = line.detail ?? ''
  return [place, reason, detail].filter((part) => part !== '').join(' · ')
}
