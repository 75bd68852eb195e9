import { passwordMaximum, passwordMinimum } from '../config.ts'
import type { Problem } from '../http/problem.ts'
import { type Html, html } from './html.ts'
import { cardPage, revealButton } from './layout.ts'
import { alertOf } from './login.ts'

export interface SetupPageOptions {
  readonly email?: string
  readonly problem?: Problem | undefined
}

/** The form that creates the first account. */
export function setupPage({ email = '', problem }: SetupPageOptions = {}): Html {
  return cardPage(
    'Set up',
    html`<h1>Set up this gateway</h1>
    <p class="hint">Create the account that manages nodes and keys. The setup code is in the output of the gateway, where it was started.</p>
    ${alertOf(problem)}
    <form class="stack" method="post" action="/setup">
      <div class="field">
        <label for="code">Setup code</label>
        <input class="mono code" id="code" name="code" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" required autofocus>
      </div>
      <div class="field">
        <label for="email">Email</label>
        <input id="email" name="email" type="email" autocomplete="username" maxlength="254" required value="${email}">
      </div>
      <div class="field">
        <label for="password">Password</label>
        <div class="password-row">
          <input id="password" name="password" type="password" autocomplete="new-password" minlength="${passwordMinimum}" maxlength="${passwordMaximum}" required aria-describedby="password-hint">
          ${revealButton}
        </div>
        <p class="hint" id="password-hint">At least ${passwordMinimum} characters.</p>
      </div>
      <button class="primary wide" type="submit">Create account</button>
    </form>`,
    'login',
  )
}
