import type { Viewer } from '../context.ts'
import type { Part } from '../http/part.ts'
import type { KeyView } from '../routes/keys.ts'
import { scopeCatalogue } from '../scopes.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { confirmDialog, liveState, partLinks, scopeChecks, time, tokenDialog } from './parts.ts'

export interface KeysPageOptions {
  readonly viewer: Viewer
  readonly keys: Part<KeyView>
  /** Scopes of the account, the only ones that it can grant. */
  readonly held: readonly string[]
  readonly origin: string
}

/** The API keys. */
export function keysPage({ viewer, keys, held, origin }: KeysPageOptions): Html {
  const offered = scopeCatalogue.filter((scope) => held.includes(scope.name))
  return page({
    title: 'API keys',
    path: '/keys',
    viewer,
    script: 'keys',
    body: html`<div class="page-head"><h1>API keys</h1>${liveState}</div>
<p class="hint">A key lets a program use the API as a separate service. Its scopes list everything that it may do: it opens no page and no chat, and it is no node.</p>

<section aria-labelledby="create-title">
  <h2 id="create-title">New key</h2>
  <form class="panel padded stack" id="key-form">
    <div class="field">
      <label for="key-name">Name</label>
      <input id="key-name" name="name" maxlength="64" required autocomplete="off" placeholder="status-board" aria-describedby="key-error">
    </div>
    <fieldset>
      <legend>What it may do</legend>
      ${scopeChecks(offered, offered[0])}
    </fieldset>
    <p class="error" id="key-error" role="alert"></p>
    <p><button class="primary" type="submit">Create key</button></p>
  </form>
</section>

<section aria-labelledby="keys-title">
  <h2 id="keys-title">Keys</h2>
  <div class="panel">
    <table id="keys"${keys.items.length === 0 && html` hidden`}>
      <thead><tr><th scope="col">Key</th><th scope="col">Scopes</th><th scope="col">Created</th><th scope="col">Last used</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
      <tbody>${keys.items.map(keyRow)}</tbody>
    </table>
    <div class="empty" id="keys-empty"${keys.items.length > 0 && html` hidden`}>
      <p class="empty-title">No key yet.</p>
      <p>Name one after the program that will use it, choose what it may do, and create it.</p>
    </div>
  </div>
  ${partLinks(keys, 'keys')}
</section>

<template id="key-row">${keyRow(blankKey)}</template>
${tokenDialog(html`<div class="field">
    <p class="label" id="run-label">Try it</p>
    <div class="copy-row"><code class="command" id="run-command" data-template="curl -H 'Authorization: Bearer {token}' ${origin}/api/nodes"></code><button type="button" data-copy="run-command" aria-describedby="run-label">Copy</button></div>
  </div>`)}
${confirmDialog('Programs that use it are refused from now on.')}`,
  })
}

const blankKey: KeyView = { id: '', name: '', scopes: [], createdAt: '', lastUsedAt: '' }

function keyRow(key: KeyView): Html {
  return html`<tr data-key="${key.id}">
  <th scope="row"><span class="name" data-f="name">${key.name}</span><span class="sub mono" data-f="id">${key.id}</span></th>
  <td data-label="Scopes"><span data-f="scopes">${key.scopes.map((scope) => html`<span class="tag">${scope}</span> `)}</span></td>
  <td data-label="Created" data-f="createdAt">${time(key.createdAt)}</td>
  <td data-label="Last used" data-f="lastUsedAt">${time(key.lastUsedAt)}</td>
  <td class="actions"><button class="quiet danger" type="button" data-revoke="${key.id}" aria-label="Revoke ${key.name}">Revoke</button></td>
</tr>`
}
