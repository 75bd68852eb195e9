import { passwordMaximum, passwordMinimum } from '../config.ts'
import type { Viewer } from '../context.ts'
import type { Part } from '../http/part.ts'
import type { UserView } from '../routes/users.ts'
import { scopeCatalogue } from '../scopes.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { liveState, partLinks, scopeChecks, time } from './parts.ts'

export interface UsersPageOptions {
  readonly viewer: Viewer
  readonly users: Part<UserView>
  /** Scopes of the account, the only ones that it can grant. */
  readonly held: readonly string[]
}

/** The accounts of people. */
export function usersPage({ viewer, users, held }: UsersPageOptions): Html {
  const { login } = viewer
  const offered = scopeCatalogue.filter((scope) => held.includes(scope.name))
  const builtIn = login.login === 'built-in'
  return page({
    title: 'Users',
    path: '/users',
    viewer,
    script: 'users',
    body: html`<div class="page-head"><h1>Users</h1>${liveState}</div>
<p class="hint">${
      builtIn
        ? 'People that may log in here. Tell a new user the password in person; the user changes it on the page Account.'
        : `People that may use this gateway. ${login.name} says who a browser belongs to, and the email address leads to the user here. An identity without a user is refused.`
    }</p>

<section aria-labelledby="create-title">
  <h2 id="create-title">New user</h2>
  <form class="panel padded stack" id="user-form">
    <div class="field">
      <label for="user-email">Email</label>
      <input id="user-email" name="email" type="email" maxlength="254" required autocomplete="off" aria-describedby="user-error">
    </div>
    ${
      builtIn &&
      html`<div class="field">
      <label for="user-password">First password</label>
      <input id="user-password" name="password" type="password" autocomplete="new-password" minlength="${passwordMinimum}" maxlength="${passwordMaximum}" required aria-describedby="user-password-hint">
      <p class="hint" id="user-password-hint">At least ${passwordMinimum} characters.</p>
    </div>`
    }
    <fieldset>
      <legend>What the user may do</legend>
      ${scopeChecks(offered, offered[0])}
    </fieldset>
    <p class="error" id="user-error" role="alert"></p>
    <p><button class="primary" type="submit">Create user</button></p>
  </form>
</section>

<section aria-labelledby="users-title">
  <h2 id="users-title">All users</h2>
  <p class="error" id="users-error" role="alert"></p>
  <div class="panel">
    <table id="users">
      <thead><tr><th scope="col">User</th><th scope="col">State</th><th scope="col">Scopes</th><th scope="col">Created</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
      <tbody>${users.items.map(userRow)}</tbody>
    </table>
    <div class="empty" id="users-empty" hidden><p class="empty-title">No user yet.</p></div>
  </div>
  ${partLinks(users, 'users')}
</section>

<template id="user-row">${userRow(blank)}</template>
<dialog id="sessions-dialog" aria-labelledby="sessions-title">
  <h2 id="sessions-title">Sessions of <span id="sessions-name"></span></h2>
  <ul class="invitations" id="sessions-list"></ul>
  <p class="muted" id="sessions-none">This user is logged in nowhere.</p>
  <p class="dialog-actions"><button type="button" data-close>Close</button><button class="danger" type="button" id="sessions-end">Log out everywhere</button></p>
</dialog>
<template id="session-item"><li><span class="name" data-f="browser"></span> <span class="mono" data-f="address"></span> <span data-f="lastSeenAt"></span></li></template>
<dialog id="confirm-dialog" aria-labelledby="confirm-title" aria-describedby="confirm-text">
  <h2 id="confirm-title">Disable <span id="confirm-name"></span>?</h2>
  <p id="confirm-text">Sessions, sockets and keys of this user end at once. The user can be enabled again.</p>
  <p class="dialog-actions"><button type="button" data-close>Cancel</button><button class="danger" type="button" id="confirm-yes">Disable</button></p>
</dialog>`,
  })
}

const blank: UserView = {
  id: '',
  email: '',
  scopes: [],
  disabled: false,
  current: false,
  changeable: true,
  hasPassword: true,
  sessions: 0,
  createdAt: '',
}

function userRow(user: UserView): Html {
  const { email, disabled, current } = user
  const fixed = current || !user.changeable
  return html`<tr data-key="${user.id}">
  <th scope="row"><span class="name" data-f="name">${email}</span><span class="sub" data-f="current">${current ? 'you' : ''}</span></th>
  <td data-label="State"><span class="state" data-f="state" data-state="${disabled ? 'off' : 'on'}"><span class="dot" aria-hidden="true"></span><span data-f="stateText">${disabled ? 'Disabled' : 'Enabled'}</span></span></td>
  <td data-label="Scopes"><span data-f="scopes">${user.scopes.map((scope) => html`<span class="tag">${scope}</span> `)}</span></td>
  <td data-label="Created" data-f="createdAt">${time(user.createdAt)}</td>
  <td class="actions"><span class="button-row"><button class="quiet" type="button" data-sessions="${user.id}" aria-label="Sessions of ${email}">Sessions</button><button class="quiet danger" type="button" data-change="${disabled ? 'enable' : 'disable'}" aria-label="${disabled ? 'Enable' : 'Disable'} ${email}"${fixed && html` disabled`}>${disabled ? 'Enable' : 'Disable'}</button></span></td>
</tr>`
}
