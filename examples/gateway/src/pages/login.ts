import type { Problem } from '../http/problem.ts'
import { type Html, html } from './html.ts'
import { cardPage, revealButton } from './layout.ts'

export interface LoginPageOptions {
  readonly next: string
  readonly email?: string
  readonly problem?: Problem | undefined
}

/** The login form. */
export function loginPage({ next, email = '', problem }: LoginPageOptions): Html {
  return cardPage(
    'Log in',
    html`<h1>Log in</h1>
    ${alertOf(problem)}
    <form class="stack" method="post" action="/login">
      <input type="hidden" name="next" value="${next}">
      <div class="field">
        <label for="email">Email</label>
        <input id="email" name="email" type="email" autocomplete="username" maxlength="254" required value="${email}"${email === '' && html` autofocus`}>
      </div>
      <div class="field">
        <label for="password">Password</label>
        <div class="password-row">
          <input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required${email !== '' && html` autofocus`}>
          ${revealButton}
        </div>
      </div>
      <button class="primary wide" type="submit">Log in</button>
    </form>`,
    'login',
  )
}

/** A refusal above a form. */
export function alertOf(problem: Problem | undefined): Html | undefined {
  if (problem === undefined) return undefined
  return html`<p class="alert" role="alert"><strong>${problem.detail}</strong> ${problem.action}</p>`
}
