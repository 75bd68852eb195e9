import type { AuditLine } from '../audit.ts'
import { searchText, summarise } from '../audit-summary.ts'
import type { Viewer } from '../context.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { liveState, time } from './parts.ts'

/** Number of lines on the page; the log has all of them. */
export const auditPageLines = 500

export interface AuditPageOptions {
  readonly viewer: Viewer
  readonly lines: readonly AuditLine[]
  /** Milliseconds since the epoch: the time filter counts from the gateway's clock. */
  readonly now: number
}

/** The events since the start, newest first. */
export function auditPage({ viewer, lines, now }: AuditPageOptions): Html {
  return page({
    title: 'Audit',
    path: '/audit',
    viewer,
    script: 'audit',
    body: html`<div class="page-head"><h1>Audit</h1>${liveState}</div>
<p class="hint">The newest ${auditPageLines} events since the start of the gateway. The log has each event as a line of JSON. Neither contains secrets.</p>
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
  <div class="field">
    <label for="since">From</label>
    <select id="since">
      <option value="">All times</option>
      <option value="300">The last 5 minutes</option>
      <option value="3600">The last hour</option>
      <option value="86400">The last day</option>
    </select>
  </div>
  <div class="field">
    <label for="search">Search</label>
    <input id="search" type="search" maxlength="100" autocomplete="off" spellcheck="false" placeholder="Name, code, device, address">
  </div>
</div>
<p class="sr" id="audit-found" role="status"></p>
<div class="panel">
  <table id="audit" data-limit="${auditPageLines}" data-now="${now}"${lines.length === 0 && html` hidden`}>
    <thead><tr><th scope="col">Time</th><th scope="col">Event</th><th scope="col">Who</th><th scope="col">Address</th><th scope="col">What</th></tr></thead>
    <tbody>${lines.slice(0, auditPageLines).map(auditRow)}</tbody>
  </table>
  <div class="empty" id="audit-empty"${lines.length > 0 && html` hidden`}>
    <p class="empty-title">No events.</p>
    <p id="audit-none-found" hidden>Nothing matches the filters above.</p>
    <p id="audit-none-yet">Log in somewhere else, or connect a node, and it appears here at once.</p>
  </div>
</div>
<template id="audit-row">${auditRow({ number: 0, at: '', event: '' })}</template>`,
  })
}

function auditRow(line: AuditLine): Html {
  const { group, who, what, from } = summarise(line)
  return html`<tr data-group="${group}" data-search="${searchText(line)}">
  <td data-label="Time" data-f="at">${time(line.at, 'clock')}</td>
  <th scope="row"><span class="tag" data-f="event" data-tone="${group}">${line.event.replaceAll('_', ' ')}</span></th>
  <td data-label="Who" data-f="who">${who}</td>
  <td data-label="Address" data-f="from">${from}</td>
  <td data-label="What" class="what" data-f="what">${what}</td>
</tr>`
}
