import type { Part } from '../http/part.ts'
import type { ScopeEntry } from '../scopes.ts'
import { type Html, html, type Slot } from './html.ts'

/** A time, readable without JavaScript; the page's module shows it relative to now. */
export function time(iso: string | null | undefined, style: 'relative' | 'clock' = 'relative'): Html {
  if (iso === undefined || iso === null) return html`<span class="muted">never</span>`
  return html`<time datetime="${iso}" data-style="${style}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`
}

/** A text that marks code with backticks, as those of `@upgate/diagnosis` do; `public/js/prose.js` does the same. */
export function prose(text: string): readonly Html[] {
  return text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : html`${part}`))
}

/** Check boxes for scopes. */
export function scopeChecks(entries: readonly ScopeEntry[], checked?: ScopeEntry): Html {
  return html`${entries.map(
    (scope) =>
      html`<label class="check"><input type="checkbox" name="scope" value="${scope.name}"${scope === checked && html` checked`}><span>${scope.opens}<span class="sub mono">${scope.name}</span></span></label>`,
  )}`
}

/** Links to the next and to the first part of a long list; nothing where all of it is shown. */
export function partLinks({ next, first }: Pick<Part<unknown>, 'next' | 'first'>, what: string): Html {
  if (next === undefined && first) return html``
  return html`<nav class="button-row" aria-label="Parts of the list of ${what}">${
    !first && html`<a href="?">First ${what}</a> `
  }${next !== undefined && html`<a rel="next" href="?after=${encodeURIComponent(next)}">More ${what}</a>`}</nav>`
}

/** The state of the page's live connection. */
export const liveState: Html = html`<p class="live" id="live" role="status" data-state="connecting"><span class="dot" aria-hidden="true"></span><span id="live-text">Connecting</span></p>`

/** The dialog that shows a new token, once. */
export function tokenDialog(more?: Slot): Html {
  return html`<dialog id="token-dialog" aria-labelledby="token-title">
  <h2 id="token-title">Token for <span id="token-name"></span></h2>
  <p class="alert calm">Copy the token now. Only its fingerprint is stored, so it cannot be shown again.</p>
  <div class="field">
    <label for="token-value">Token</label>
    <div class="copy-row">
      <input class="mono" id="token-value" readonly autocomplete="off" spellcheck="false">
      <button type="button" data-copy="token-value">Copy</button>
    </div>
  </div>
  ${more}
  <p class="dialog-actions"><button class="primary" type="button" data-close>Done</button></p>
</dialog>`
}

/** The dialog that asks for confirmation of a revocation. */
export function confirmDialog(consequence: string): Html {
  return html`<dialog id="confirm-dialog" aria-labelledby="confirm-title" aria-describedby="confirm-text">
  <h2 id="confirm-title">Revoke <span id="confirm-name"></span>?</h2>
  <p id="confirm-text">${consequence}</p>
  <p class="dialog-actions"><button type="button" data-close>Cancel</button><button class="danger" type="button" id="confirm-yes">Revoke</button></p>
</dialog>`
}
