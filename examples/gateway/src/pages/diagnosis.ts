import { diagnoses } from '@upgate/diagnosis'
import type { Viewer } from '../context.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { prose } from './parts.ts'

/** The page about a code of a failed connection; `undefined` if there is no such code. */
export function diagnosisPage(viewer: Viewer, code: string): Html | undefined {
  const entry = diagnoses.find((each) => each.code === code)
  if (entry === undefined) return undefined
  const { title, layer, sees, cause, action, confusableWith } = entry
  return page({
    title,
    path: '/remote',
    viewer,
    body: html`<div class="page-head"><h1>${title}</h1></div>
<p><span class="tag mono">${code}</span> <span class="tag mono">${layer}</span></p>
<section aria-labelledby="sees"><h2 id="sees">What is seen</h2><p>${prose(sees)}</p></section>
<section aria-labelledby="cause"><h2 id="cause">Why</h2><p>${prose(cause)}</p></section>
<section aria-labelledby="action"><h2 id="action">What to do</h2><p>${prose(action)}</p></section>
${
  confusableWith.length > 0 &&
  html`<section aria-labelledby="others"><h2 id="others">Similar failures</h2><ul>${confusableWith.map(
    (other) =>
      html`<li><a class="mono" href="/diagnosis/${other.code}">${other.code}</a>: ${prose(other.probe)}</li>`,
  )}</ul></section>`
}
<p><a href="/remote">Back to the connection</a></p>`,
  })
}
