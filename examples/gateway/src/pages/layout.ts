import type { Viewer } from '../context.ts'
import { type Html, html, type Slot } from './html.ts'

/** A page of the logged-in part. */
export interface PageOptions {
  readonly title: string
  /** Path of the page, for the navigation. */
  readonly path: string
  readonly viewer: Viewer
  /** Name of the page's module below `/assets/js/`, if it has one. */
  readonly script?: string
  readonly body: Slot
}

const navigation = [
  { path: '/nodes', label: 'Nodes' },
  { path: '/keys', label: 'API keys' },
  { path: '/chat', label: 'Chat' },
  { path: '/remote', label: 'Remote' },
  { path: '/audit', label: 'Audit' },
  { path: '/users', label: 'Users' },
  { path: '/account', label: 'Account' },
] as const

/** A page with header and navigation. */
export function page({ title, path, viewer, script, body }: PageOptions): Html {
  return document(
    title,
    html`<a class="skip" href="#main">Skip to content</a>
<header class="top">
  <div class="top-inner">
    <a class="brand" href="/nodes">${mark}<span>Gateway</span></a>
    <nav aria-label="Pages">
      ${navigation
        // If an edge does the login, password and sessions are the edge's.
        .filter(({ path }) => path !== '/account' || viewer.login.login === 'built-in')
        .map(
          (entry) =>
            html`<a href="${entry.path}"${entry.path === path ? html` aria-current="page"` : ''}>${entry.label}</a>`,
        )}
    </nav>
    ${whoOf(viewer)}
  </div>
</header>
<main id="main" tabindex="-1">${body}</main>
<noscript><p class="banner">Live updates and buttons on this page need JavaScript; the API works without it.</p></noscript>
${script !== undefined && html`<script type="module" src="/assets/js/${script}.js"></script>`}`,
  )
}

/** The user's name, and the log-out of the built-in or external login. */
function whoOf({ name, login }: Viewer): Html {
  const label = html`<span class="who-name" title="${name}">${name}</span>`
  if (login.login === 'built-in') {
    return html`<form class="who" method="post" action="/logout">
      ${label}
      <button class="quiet" type="submit">Log out</button>
    </form>`
  }
  return html`<div class="who" id="external-login">
      <span class="who-name" title="${name}, logged in through ${login.name}">${name}<small class="who-via">via ${login.name}</small></span>
      <a class="button quiet" href="${login.logoutUrl}">Log out</a>
    </div>`
}

/** A page with one card in the middle: login, set-up, errors. */
export function cardPage(title: string, body: Slot, script?: string): Html {
  return document(
    title,
    html`<main class="card-page">
  <div class="card">
    <p class="brand">${mark}<span>Gateway</span></p>
    ${body}
  </div>
</main>
${script !== undefined && html`<script type="module" src="/assets/js/${script}.js"></script>`}`,
  )
}

/** The button keeps its place in the layout, and becomes visible when the page's module is loaded. */
export const revealButton: Html = html`<button class="reveal" id="reveal" type="button" aria-pressed="false" aria-controls="password">Show</button>`

const mark = html`<svg class="mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true"><path d="M4 20V9a8 8 0 0 1 16 0v11M12 3v17M8 20v-8m8 8v-8" /></svg>`

function document(title: string, body: Slot): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Gateway</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/app.css">
</head>
<body>
${body}
</body>
</html>
`
}
