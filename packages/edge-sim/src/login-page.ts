import { type Answer, escapeHtml, html } from './answer.ts'
import type { User } from './users.ts'

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f4f4f5;color:#18181b}' +
  'main{max-width:26rem;margin:10vh auto;padding:2rem;background:#fff;border:1px solid #d4d4d8;border-radius:8px}' +
  'h1{font-size:1.25rem;margin:0 0 .25rem}p{margin:.25rem 0 1rem;color:#52525b}' +
  'button{display:block;width:100%;margin:.5rem 0;padding:.75rem 1rem;font:inherit;text-align:left;cursor:pointer;' +
  'background:#fff;border:1px solid #a1a1aa;border-radius:6px}button:hover,button:focus{border-color:#c2410c}' +
  'small{color:#71717a}'

/** The simulated login page: one button per user instead of an identity provider. */
export function loginPage(
  team: string,
  host: string,
  action: string,
  state: string,
  users: readonly User[],
): Answer {
  const buttons = users
    .map(
      ({ email, name }) =>
        `<button name="email" value="${escapeHtml(email)}">${escapeHtml(name)}<br><small>${escapeHtml(email)}</small></button>`,
    )
    .join('')
  const body =
    `<style>${STYLE}</style><main><h1>Sign in to ${escapeHtml(host)}</h1>` +
    `<p>Simulated Cloudflare Access, team ${escapeHtml(team)}. Choose who you are.</p>` +
    `<form method="post" action="${escapeHtml(action)}">` +
    `<input type="hidden" name="state" value="${escapeHtml(state)}">${buttons || '<p>This team has no users.</p>'}</form></main>`
  return html(200, 'team', 'Sign in ・ Cloudflare Access', body, [['cache-control', 'no-store']])
}
