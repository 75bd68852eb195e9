import { call } from './api.js'
import { confirmRevoke } from './dialogs.js'

/**
 * Wires a form that creates a record: one request at a time, with the error next to the field.
 *
 * @param {string} form id of the form
 * @param {string} error id of the place for refusals
 * @param {(data: FormData) => Promise<void>} create
 */
export function onCreate(form, error, create) {
  const element = /** @type {HTMLFormElement} */ (document.getElementById(form))
  const button = element.querySelector('button[type=submit]')
  const place = document.getElementById(error)
  element.addEventListener('submit', async (event) => {
    event.preventDefault()
    place.textContent = ''
    button.disabled = true
    try {
      await create(new FormData(element))
      element.reset()
    } catch (failure) {
      place.textContent = failure.message
    } finally {
      button.disabled = false
    }
  })
}

/**
 * Wires the revoke buttons of a table.
 *
 * @param {string} table id of the table
 * @param {string} path of the API
 * @param {string} error id of the place for refusals
 * @param {() => Promise<void>} refresh
 */
export function onRevoke(table, path, error, refresh) {
  document.getElementById(table).addEventListener('click', async (event) => {
    const button = event.target.closest('[data-revoke]')
    if (button === null) return
    const name = button.closest('tr').querySelector('[data-f=name]').textContent
    const place = document.getElementById(error)
    place.textContent = ''
    if (!(await confirmRevoke(name))) return
    button.disabled = true
    try {
      await call('DELETE', `${path}/${encodeURIComponent(button.dataset.revoke)}`)
      await refresh()
      // The focused button disappeared with its row.
      document.getElementById('main').focus()
    } catch (failure) {
      place.textContent = failure.message
      button.disabled = false
    }
  })
}
