import { type Html, html } from './html.ts'
import { cardPage } from './layout.ts'

/** The page for an unknown path. */
export function notFoundPage(): Html {
  return cardPage(
    'Not found',
    html`<h1>Nothing here</h1>
    <p>There is no page at this address.</p>
    <p><a class="button primary wide" href="/nodes">Go to the nodes</a></p>`,
  )
}
