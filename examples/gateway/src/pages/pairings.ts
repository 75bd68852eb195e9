import type { Viewer } from '../context.ts'
import type { InvitationView, PairingView } from '../pairing-views.ts'
import { scopeCatalogue } from '../scopes.ts'
import { type Html, html } from './html.ts'
import { nodeCommand } from './node-command.ts'
import { scopeChecks, time } from './parts.ts'

export interface PairingSectionOptions {
  readonly viewer: Viewer
  readonly pairings: readonly PairingView[]
  readonly invitations: readonly InvitationView[]
  /** Scopes of the account, the only ones that it can grant. */
  readonly held: readonly string[]
  /** Address of the node endpoint. */
  readonly nodeUrl: string
}

/** The pending pairing requests, and the controls for codes and windows. */
export function pairingSection({
  viewer,
  pairings,
  invitations,
  held,
  nodeUrl,
}: PairingSectionOptions): Html {
  const offered = scopeCatalogue.filter(({ name, forDevices }) => forDevices === true && held.includes(name))
  return html`<section aria-labelledby="pairing-title">
  <h2 id="pairing-title">Waiting for approval <span class="count" id="pairing-count">${pairings.length}</span></h2>
  <p class="hint">A device that pairs creates its own key, so you do not have to copy a token. Give the device a code, or let every device ask for two minutes. Then approve it with the six characters that it shows.</p>
  <form class="stack" id="invite-form">
    <details id="invite-scopes"${offered.length === 0 && html` hidden`}>
      <summary>What it may be given, besides being a node</summary>
      <fieldset class="padded">
        <legend class="sr">What it may be given, besides being a node</legend>
        ${scopeChecks(offered)}
      </fieldset>
    </details>
    <p class="button-row"><button name="kind" value="code">Create a code</button> <button name="kind" value="window">Let devices ask for 2 minutes</button></p>
  </form>
  <p class="error" id="pairing-error" role="alert"></p>
  <div class="panel">
    <table id="pairings"${pairings.length === 0 && html` hidden`}>
      <thead><tr><th scope="col">Code</th><th scope="col">Says it is</th><th scope="col">Asks for</th><th scope="col">Address</th><th scope="col">Asked</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
      <tbody>${pairings.map(pairingRow)}</tbody>
    </table>
    <div class="empty" id="pairings-empty"${pairings.length > 0 && html` hidden`}>
      <p class="muted">No device asks to be let in.</p>
    </div>
  </div>
  <div class="outcomes" id="outcomes" hidden>
    <h3 id="outcomes-title">What became of requests</h3>
    <ul id="outcome-list" aria-labelledby="outcomes-title" aria-live="polite"></ul>
    <button class="quiet" type="button" id="outcomes-clear">Clear this list</button>
  </div>
  <ul class="invitations" id="invitations" aria-label="Open codes and windows">${invitations.map(invitationItem)}</ul>
<template id="pairing-row">${pairingRow(blank)}</template>
<template id="outcome-item"><li><span class="tag" data-f="state"></span> <span class="name" data-f="name"></span> <span class="mono" data-f="code"></span> <span class="sub" data-f="what"></span></li></template>
<template id="arrival-item"><li><span><span class="name" data-f="name"></span> asks; its code is <span class="mono" data-f="code"></span></span> <button class="quiet" type="button" data-f="go">Go to its request</button></li></template>
<template id="invitation-item">${invitationItem({ id: '', kind: 'code', scopes: [], expiresAt: '' })}</template>
<dialog id="code-dialog" aria-labelledby="code-title">
  <h2 id="code-title">Code for one device</h2>
  <p class="alert calm">The code is valid once, for ten minutes, and is not shown again. The device still needs your approval.</p>
  <p id="code-scopes" hidden>It may be given: <span id="code-scope-tags"></span></p>
  <div class="field">
    <label for="code-value">Code</label>
    <div class="copy-row">
      <input class="mono" id="code-value" readonly autocomplete="off" spellcheck="false">
      <button type="button" data-copy="code-value">Copy</button>
    </div>
  </div>
  <div class="field">
    <p class="label" id="pair-label">Run the node</p>
    <div class="copy-row"><code class="command" id="pair-command" data-template="${nodeCommand({ name: 'UPGATE_CODE', value: '{code}' }, { nodeUrl, viewer, wishes: '{scopes}' })}"></code><button type="button" data-copy="pair-command" aria-describedby="pair-label">Copy</button></div>
  </div>
  <ul class="arrivals" id="arrivals" role="status" aria-label="Devices that ask now"></ul>
  <p class="dialog-actions"><button class="primary" type="button" data-close>Done</button></p>
</dialog>
<dialog id="approve-dialog" aria-labelledby="approve-title">
  <h2 id="approve-title">Approve <span id="approve-name"></span>?</h2>
  <p class="alert calm" id="approve-silent" hidden>It has been <span id="approve-silence"></span>: this device may be gone. Look for another request under its name.</p>
  <form class="stack" id="approve-form">
    <div class="field">
      <label for="approve-code">Six characters that the device shows</label>
      <input class="comparison mono" id="approve-code" name="comparisonCode" required maxlength="16" autocomplete="off" autocapitalize="characters" spellcheck="false" aria-describedby="approve-hint approve-error">
      <p class="hint" id="approve-hint">Read them from the device, not from this page: only the right device shows them.</p>
      <p class="error" id="approve-error" role="alert"></p>
    </div>
    <fieldset id="approve-wishes">
      <legend>What it asks for</legend>
      <div class="stack" id="approve-scopes"></div>
    </fieldset>
    <p class="dialog-actions"><button type="button" data-close>Cancel</button><button class="primary">Approve</button></p>
  </form>
</dialog>
<template id="approve-scope"><label class="check"><input type="checkbox" name="scope"><span><span class="mono" data-f="scope"></span><span class="sub" data-f="why" hidden>Not covered by the code or window, or not held by you</span></span></label></template>
</section>`
}

const blank: PairingView = {
  id: '',
  comparisonCode: '',
  name: '',
  role: '',
  scopes: [],
  grantable: [],
  introduction: 'code',
  address: '',
  addressMayBeProxy: false,
  key: '',
  createdAt: '',
  askedAt: '',
  silentFor: 0,
  silent: false,
  expiresAt: '',
}

function pairingRow(request: PairingView): Html {
  const { name, comparisonCode } = request
  return html`<tr data-key="${request.id}"${request.silent && html` class="silent"`}>
  <th scope="row"><span class="comparison mono" data-f="comparisonCode">${comparisonCode}</span></th>
  <td data-label="Says it is"><span><span class="name" data-f="name">${name}</span><span class="sub mono" data-f="key">${request.key ?? 'no key'}</span></span></td>
  <td data-label="Asks for"><span data-f="wish"><span class="tag">${request.role}</span> ${request.scopes.map((scope) => html`<span class="tag">${scope}</span> `)}</span></td>
  <td data-label="Address"><span><span class="mono" data-f="address">${request.address ?? 'unknown'}</span><span class="sub" data-f="proxy"${!request.addressMayBeProxy && html` hidden`}>may be a proxy's</span><span class="sub" data-f="introduction">${introductions[request.introduction] ?? ''}</span></span></td>
  <td data-label="Asked"><span><span data-f="asked">${askedWords(request)}</span><span class="sub">first <span data-f="createdAt">${time(request.createdAt)}</span></span></span></td>
  <td class="actions"><span class="button-row"><button class="quiet" type="button" data-decide="approve" aria-label="Approve ${name}, ${comparisonCode}">Approve</button><button class="quiet danger" type="button" data-decide="reject" aria-label="Reject ${name}, ${comparisonCode}">Reject</button></span></td>
</tr>`
}

/** `public/js/pairing-words.js` has the same words. */
function askedWords({ silent, silentFor }: PairingView): string {
  return silent ? `silent for ${Math.floor(silentFor / 60)} min` : `asked ${silentFor} s ago`
}

/** `public/js/pairings.js` has the same words. */
const introductions: Readonly<Record<string, string>> = {
  code: 'with a code',
  window: 'in a window',
  credential: 'with a login',
  upgrade: 'is paired, and asks for more',
}

function invitationItem({ id, kind, scopes, expiresAt }: InvitationView): Html {
  return html`<li data-key="${id}"><span data-f="kind">${kind === 'code' ? 'A code is open' : 'Every device may ask'}</span> until <span data-f="expiresAt">${time(expiresAt, 'clock')}</span> <span data-f="scopes">${scopes.map((scope) => html`<span class="tag">${scope}</span> `)}</span><button class="quiet danger" type="button" data-end="${id}">End it</button></li>`
}
