import { passwordMaximum, passwordMinimum } from '../config.ts'
import type { Viewer } from '../context.ts'
import type { SessionView } from '../routes/sessions.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { confirmDialog, liveState, time } from './parts.ts'

/** The user's own account: password and sessions. */
export function accountPage(viewer: Viewer, sessions: readonly SessionView[]): Html {
  return page({
    title: 'Account',
    path: '/account',
    viewer,
    script: 'account',
    body: html`<div class="page-head"><h1>Account</h1>${liveState}</div>

<section aria-labelledby="password-title">
  <h2 id="password-title">Password</h2>
  <form class="panel padded stack" id="password-form">
    <input type="email" autocomplete="username" value="${viewer.name}" readonly hidden>
    <div class="field">
      <label for="current-password">Current password</label>
      <input id="current-password" name="current" type="password" autocomplete="current-password" maxlength="${passwordMaximum}" required aria-describedby="password-error">
    </div>
    <div class="field">
      <label for="new-password">New password</label>
      <input id="new-password" name="next" type="password" autocomplete="new-password" minlength="${passwordMinimum}" maxlength="${passwordMaximum}" required aria-describedby="password-hint">
      <p class="hint" id="password-hint">At least ${passwordMinimum} characters. A new password logs out every other browser.</p>
    </div>
    <p class="error" id="password-error" role="alert"></p>
    <p><button class="primary" type="submit">Change password</button> <span id="password-done" role="status"></span></p>
  </form>
</section>

<section aria-labelledby="sessions-title">
  <h2 id="sessions-title">Your sessions</h2>
  <p class="hint">The browsers in which you are logged in. Revoking a session logs its browser out at once, and closes its open pages.</p>
  <p><button class="danger" type="button" id="revoke-others"${sessions.length < 2 && html` disabled`}>Revoke all others</button></p>
  <p class="error" id="session-error" role="alert"></p>
  <div class="panel">
    <table id="sessions"${sessions.length === 0 && html` hidden`}>
      <thead><tr><th scope="col">Browser</th><th scope="col">Address</th><th scope="col">Logged in</th><th scope="col">Last seen</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
      <tbody>${sessions.map(sessionRow)}</tbody>
    </table>
    <div class="empty" id="sessions-empty"${sessions.length > 0 && html` hidden`}>
      <p class="empty-title">No session here.</p>
    </div>
  </div>
</section>

<template id="session-row">${sessionRow({ id: '', browser: '', address: '', current: false, createdAt: '', lastSeenAt: '' })}</template>
${confirmDialog('It is logged out at once, and has to log in again.')}`,
  })
}

function sessionRow(session: SessionView): Html {
  return html`<tr data-key="${session.id}">
  <th scope="row"><span class="name" data-f="name">${session.browser}</span><span class="sub" data-f="current">${session.current ? 'this one' : ''}</span></th>
  <td data-label="Address"><span class="mono" data-f="address">${session.address ?? 'unknown'}</span></td>
  <td data-label="Logged in" data-f="createdAt">${time(session.createdAt)}</td>
  <td data-label="Last seen" data-f="lastSeenAt">${time(session.lastSeenAt)}</td>
  <td class="actions"><button class="quiet danger" type="button" data-revoke="${session.id}" aria-label="Revoke ${session.browser}">Revoke</button></td>
</tr>`
}
