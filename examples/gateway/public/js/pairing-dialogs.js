// The dialog with a new code, in which arriving requests appear, and the one that approves a request.
import { call } from './api.js'
import { askedWords } from './pairing-words.js'
import { cloneRow } from './rows.js'

const codeDialog = /** @type {HTMLDialogElement} */ (document.getElementById('code-dialog'))
const arrivals = document.getElementById('arrivals')
/** Requests that waited before the dialog opened. */
let before = new Set()

/** @param {string} text */
export function tag(text) {
  const element = document.createElement('span')
  element.className = 'tag'
  element.textContent = text
  return [element, ' ']
}

const pendingIds = () =>
  [...document.querySelectorAll('#pairings tbody tr')].map(
    (row) => /** @type {HTMLElement} */ (row).dataset.key,
  )

/** Shows a new code, and removes it from the page when the dialog closes. */
export function showCode({ code, scopes }) {
  const value = /** @type {HTMLInputElement} */ (document.getElementById('code-value'))
  const command = document.getElementById('pair-command')
  value.value = code
  const wish = scopes.length === 0 ? '' : ` --scopes ${scopes.join(',')}`
  command.textContent = command.dataset.template.replace('{code}', code).replace('{scopes}', wish)
  document.getElementById('code-scopes').hidden = scopes.length === 0
  document.getElementById('code-scope-tags').replaceChildren(...scopes.flatMap(tag))
  before = new Set(pendingIds())
  codeDialog.addEventListener(
    'close',
    () => {
      value.value = ''
      command.textContent = ''
      arrivals.replaceChildren()
    },
    { once: true },
  )
  codeDialog.showModal()
  value.focus()
  value.select()
}

/** Shows requests that arrive while the code's dialog covers the table. */
export function showArrivals(requests) {
  if (!codeDialog.open) return
  const fresh = requests.filter(({ id }) => !before.has(id))
  const known = new Map([...arrivals.children].map((item) => [item.dataset.key, item]))
  for (const { id, name, comparisonCode } of fresh) {
    if (known.delete(id)) continue
    const item = cloneRow('arrival-item')
    item.dataset.key = id
    item.querySelector('[data-f=name]').textContent = name
    item.querySelector('[data-f=code]').textContent = comparisonCode
    const go = item.querySelector('[data-f=go]')
    go.setAttribute('aria-label', `Go to the request of ${name}, ${comparisonCode}`)
    go.addEventListener('click', () => {
      codeDialog.close()
      const row = document.querySelector(`#pairings tr[data-key="${CSS.escape(id)}"]`)
      row?.scrollIntoView({ block: 'center' })
      row?.querySelector('[data-decide=approve]').focus()
    })
    arrivals.append(item)
  }
  for (const item of known.values()) item.remove()
}

/** The request that the dialog is about, or was last. */
let asked

/**
 * Approves a request: asks for the characters that the device shows, and which of the requested scopes it gets.
 *
 * @returns {Promise<boolean>} false if the dialog was cancelled
 */
export function approveInDialog(request) {
  const { id, name, scopes, grantable, silent } = request
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('approve-dialog'))
  const form = /** @type {HTMLFormElement} */ (document.getElementById('approve-form'))
  const typed = /** @type {HTMLInputElement} */ (document.getElementById('approve-code'))
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button.primary'))
  const error = document.getElementById('approve-error')
  document.getElementById('approve-name').textContent = name
  document.getElementById('approve-silent').hidden = !silent
  document.getElementById('approve-silence').textContent = askedWords(request)
  document.getElementById('approve-wishes').hidden = scopes.length === 0
  document.getElementById('approve-scopes').replaceChildren(
    ...scopes.map((scope) => {
      const item = cloneRow('approve-scope')
      const box = item.querySelector('input')
      box.value = scope
      box.checked = grantable.includes(scope)
      box.disabled = !box.checked
      item.querySelector('[data-f=scope]').textContent = scope
      item.querySelector('[data-f=why]').hidden = !box.disabled
      return item
    }),
  )
  typed.value = ''
  error.textContent = ''
  return new Promise((resolve) => {
    let done = false
    const agree = async (event) => {
      event.preventDefault()
      error.textContent = ''
      button.disabled = true
      try {
        const data = new FormData(form)
        const body = { comparisonCode: data.get('comparisonCode'), scopes: data.getAll('scope') }
        await call('POST', `/api/pairings/${encodeURIComponent(id)}/approve`, body)
        done = true
        dialog.close()
      } catch (failure) {
        error.textContent = failure.message
        typed.focus()
        typed.select()
      } finally {
        button.disabled = false
      }
    }
    form.addEventListener('submit', agree)
    const closed = () => {
      // The event comes late: the dialog may be open again by then, for another request.
      if (asked === request && dialog.open) return
      dialog.removeEventListener('close', closed)
      form.removeEventListener('submit', agree)
      // The characters of one device must not wait for the next one.
      if (asked === request) typed.value = ''
      resolve(done)
    }
    dialog.addEventListener('close', closed)
    asked = request
    dialog.showModal()
    typed.focus()
  })
}
