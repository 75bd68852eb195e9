import type { Viewer } from '../context.ts'
import type { FailureView } from '../remote/state.ts'
import type { RemoteView } from '../remote/view.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { liveState, prose, time } from './parts.ts'

export interface RemotePageOptions {
  readonly viewer: Viewer
  readonly view: RemoteView
}

/** This gateway as a node of another one. */
export function remotePage({ viewer, view }: RemotePageOptions): Html {
  const { url, unavailable } = view
  const encrypted = url?.startsWith('wss://') === true
  return page({
    title: 'Remote',
    path: '/remote',
    viewer,
    script: 'remote',
    body: html`<div class="page-head"><h1>Remote</h1>${liveState}</div>
<p class="hint">This gateway can be a node of another gateway, and stay connected to it. The other one then lists it among its nodes.</p>
${unavailable !== null && html`<p class="alert" role="alert">${unavailable} Set REMOTE_KEY to the same secret of at least 32 characters at every instance.</p>`}

<section aria-labelledby="connection-title" id="connection"${view.state === 'off' && html` hidden`}>
  <h2 id="connection-title">Connection</h2>
  <div class="panel padded stack">
    ${connectionFacts(view)}
    ${pairingPart(view)}
    ${failurePart(view.failure)}
    <p class="button-row"><button type="button" id="again"${url === null && html` hidden`}>Connect again</button><button class="danger" type="button" id="forget">Disconnect and forget</button></p>
    <p class="error" id="connection-error" role="alert"></p>
  </div>
</section>

<section aria-labelledby="form-title">
  <h2 id="form-title">${url === null ? 'Connect to a gateway' : 'Change the connection'}</h2>
  <form class="panel padded stack" id="remote-form" data-url="${url ?? ''}">
    <div class="field">
      <label for="url">URL</label>
      <input class="mono" id="url" name="url" inputmode="url" maxlength="2048" required autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="wss://gateway.example.com/ws" value="${url ?? ''}" aria-describedby="url-hint plain-hint">
      <p class="hint" id="url-hint">Where the other gateway takes nodes. Its page Nodes shows the address.</p>
      <p class="alert calm" id="plain-hint" hidden><code>ws://</code> is not encrypted: everybody on the way can read the token and everything after it. Use <code>wss://</code> if the other gateway has it.</p>
    </div>
    <fieldset class="stack" id="access-fields"${!encrypted && html` hidden`}>
      <legend>Service token of Cloudflare Access</legend>
      <p class="hint">Only if Cloudflare Access protects the other gateway: create it under Access, Service credentials, and let a policy with the action Service Auth include it.</p>
      ${secretField({ id: 'cfClientId', label: 'Client ID', name: 'client ID', shown: true, saved: view.secrets.cfClientId })}
      ${secretField({ id: 'cfClientSecret', label: 'Client Secret', name: 'client secret', saved: view.secrets.cfClientSecret })}
    </fieldset>
    ${secretField({
      id: 'token',
      label: 'Token or pairing code',
      name: 'token',
      saved: view.secrets.token,
      hint: 'A device token or a pairing code of the other gateway, or its shared token. Without one, this gateway asks to be paired.',
    })}
    ${secretField({
      id: 'sessionKey',
      label: 'Session key (optional)',
      name: 'session key',
      saved: view.secrets.sessionKey,
      hint: 'The session of the other gateway that this one follows, if it has sessions.',
    })}
    <p class="error" id="remote-error" role="alert"></p>
    <p><button class="primary" type="submit"${unavailable !== null && html` disabled`}>Connect</button></p>
  </form>
</section>

<dialog id="confirm-dialog" aria-labelledby="confirm-title" aria-describedby="confirm-text">
  <h2 id="confirm-title">Disconnect from <span id="confirm-name"></span>?</h2>
  <p id="confirm-text">The connection ends, and the stored secrets are deleted. The other gateway keeps its record of this one until it is revoked there.</p>
  <p class="dialog-actions"><button type="button" data-close>Cancel</button><button class="danger" type="button" id="confirm-yes">Disconnect</button></p>
</dialog>`,
  })
}

interface SecretFieldOptions {
  readonly id: string
  readonly label: string
  /** As the button names it. */
  readonly name: string
  /** Whether one is stored. */
  readonly saved: boolean
  /** Whether the characters are shown from the beginning: it is no secret alone. */
  readonly shown?: boolean
  readonly hint?: string
}

/** A field for a secret, hidden until the button shows it. A stored one is never sent to the page. */
function secretField({ id, label, name, saved, shown = false, hint }: SecretFieldOptions): Html {
  return html`<div class="field">
      <label for="${id}">${label}</label>
      <div class="password-row">
        <input class="mono" id="${id}" name="${id}" type="${shown ? 'text' : 'password'}" maxlength="4096" autocomplete="${shown ? 'off' : 'new-password'}" autocapitalize="none" spellcheck="false" aria-describedby="${id}-saved${hint !== undefined && ` ${id}-hint`}">
        ${!shown && html`<button class="reveal" type="button" data-reveal="${id}" data-name="${name}" aria-pressed="false" aria-controls="${id}">Show</button>`}
      </div>
      <p class="hint" id="${id}-saved" data-saved="${id}"${!saved && html` hidden`}>One is stored. Leave this empty to keep it.</p>
      ${hint !== undefined && html`<p class="hint" id="${id}-hint">${hint}</p>`}
    </div>`
}

function connectionFacts(view: RemoteView): Html {
  const { state, stateName, grantedAs, since, until, granted, url, setBy, setAt, paired, plain } = view
  return html`<p class="state" id="state" role="status" data-state="${state}"><span class="dot" aria-hidden="true"></span><strong id="state-text">${stateName}</strong></p>
    <dl class="facts">
      <div><dt>URL</dt><dd class="mono" id="fact-url">${url ?? ''}</dd></div>
      <div><dt>Since</dt><dd id="fact-since">${time(since)}</dd></div>
      <div id="fact-until-row"${until === undefined && html` hidden`}><dt>Next attempt</dt><dd id="fact-until">${time(until ?? '', 'clock')}</dd></div>
      <div id="fact-role-row"${granted === undefined && html` hidden`}><dt>Accepted as</dt><dd id="fact-role">${grantedAs}</dd></div>
      <div><dt>Set</dt><dd><span id="fact-set-at">${time(setAt ?? '')}</span> by <span id="fact-set-by" data-f="setBy">${setBy ?? ''}</span></dd></div>
      <div id="fact-paired-row"${!paired && html` hidden`}><dt>Pairing</dt><dd>The other gateway knows the key of this one.</dd></div>
      <div id="fact-plain-row"${!plain && html` hidden`}><dt>Encryption</dt><dd>None: everybody on the way can read what is sent, the token included.</dd></div>
    </dl>`
}

function pairingPart({ pairing }: RemoteView): Html {
  return html`<div class="alert calm failure" id="pairing"${pairing === undefined && html` hidden`}>
      <h3>The other gateway has to approve this one</h3>
      <p id="pairing-code-row"${pairing?.comparisonCode === undefined && html` hidden`}><span class="comparison mono" id="pairing-code">${pairing?.comparisonCode ?? ''}</span></p>
      <p>Open the page Nodes of the other gateway, and approve the request <span id="pairing-with"${pairing?.comparisonCode === undefined && html` hidden`}>with these characters</span>. This gateway goes on asking, and connects as soon as it is approved.</p>
      <p id="pairing-id-row"${pairing?.requestId === undefined && html` hidden`}>Request <span class="mono" id="pairing-id">${pairing?.requestId ?? ''}</span></p>
    </div>`
}

function failurePart(failure: FailureView | undefined): Html {
  return html`<div class="alert failure" id="failure" role="alert"${failure === undefined && html` hidden`}>
      <h3 id="failure-title">${failure?.title ?? ''}</h3>
      <dl class="facts">
        <div><dt>Layer</dt><dd><span id="failure-layer">${failure?.layerName ?? ''}</span> <span class="tag mono" id="failure-layer-code">${failure?.layer ?? ''}</span></dd></div>
        <div><dt>Why</dt><dd id="failure-cause">${prose(failure?.cause ?? '')}</dd></div>
        <div><dt>What to do</dt><dd><strong id="failure-action">${prose(failure?.action ?? '')}</strong></dd></div>
        <div><dt>When</dt><dd id="failure-at">${time(failure?.at ?? '')}</dd></div>
      </dl>
      <p id="failure-link-row"${failure?.link === undefined && html` hidden`}><a id="failure-link" href="${failure?.link ?? '/diagnosis/other'}">More about <span class="mono" id="failure-code">${failure?.code ?? ''}</span></a></p>
      <details id="failure-evidence"${(failure?.evidence.length ?? 0) === 0 && html` hidden`}><summary>What was observed</summary><ul id="failure-facts">${failure?.evidence.map(({ name, value }) => html`<li><strong>${name}</strong> <span class="mono">${value}</span></li>`)}</ul></details>
    </div>`
}
