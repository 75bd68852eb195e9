import { call } from './api.js'
import { cloneRow, syncRows } from './rows.js'
import { setTime } from './time.js'

const introductions = { code: 'with a code', window: 'in a window', credential: 'with a login' }
const error = document.getElementById('pairing-error')

/** Fetches who waits, and what is open. */
export async function refreshPairings() {
  const { requests, invitations } = await call('GET', '/api/pairings')
  document.getElementById('pairing-count').textContent = String(requests.length)
  syncRows(
    'pairings',
    'pairing-row',
    requests,
    (request) => request.id,
    (field, request, row) => {
      field('comparisonCode').textContent = request.comparisonCode
      field('name').textContent = request.name
      field('key').textContent = request.key ?? 'no key'
      field('wish').replaceChildren(...[request.role, ...request.scopes].flatMap(tag))
      field('address').textContent = request.address ?? 'unknown'
      field('introduction').textContent = introductions[request.introduction] ?? ''
      setTime(field('createdAt'), request.createdAt)
      for (const button of row.querySelectorAll('[data-decide]')) {
        const verb = button.dataset.decide === 'approve' ? 'Approve' : 'Reject'
        button.setAttribute('aria-label', `${verb} ${request.name}, ${request.comparisonCode}`)
      }
    },
  )
  document.getElementById('invitations').replaceChildren(...invitations.map(invitationItem))
}

/** @param {string} text */
function tag(text) {
  const element = document.createElement('span')
  element.className = 'tag'
  element.textContent = text
  return [element, ' ']
}

function invitationItem({ id, kind, expiresAt }) {
  const item = cloneRow('invitation-item')
  item.dataset.key = id
  item.querySelector('[data-f=kind]').textContent = kind === 'code' ? 'A code is open' : 'Anybody may ask'
  setTime(item.querySelector('[data-f=expiresAt]'), expiresAt, 'clock')
  item.querySelector('[data-end]').dataset.end = id
  return item
}

/** Does something with a button at rest, and says beside it what went wrong. */
async function act(button, action) {
  error.textContent = ''
  button.disabled = true
  try {
    await action()
  } catch (failure) {
    error.textContent = failure.message
  } finally {
    button.disabled = false
  }
  await refreshPairings().catch(() => {})
}

function showCode({ code }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('code-dialog'))
  const value = /** @type {HTMLInputElement} */ (document.getElementById('code-value'))
  const command = document.getElementById('pair-command')
  value.value = code
  command.textContent = command.dataset.template.replace('{code}', code)
  dialog.addEventListener(
    'close',
    () => {
      value.value = ''
      command.textContent = ''
    },
    { once: true },
  )
  dialog.showModal()
  value.focus()
  value.select()
}

document.getElementById('code-create').addEventListener('click', (event) => {
  act(event.currentTarget, async () => showCode(await call('POST', '/api/pairings/codes', {})))
})
document.getElementById('window-open').addEventListener('click', (event) => {
  act(event.currentTarget, () => call('POST', '/api/pairings/windows', {}))
})
document.getElementById('invitations').addEventListener('click', (event) => {
  const button = event.target.closest('[data-end]')
  if (button === null) return
  act(button, () => call('DELETE', `/api/pairings/invitations/${encodeURIComponent(button.dataset.end)}`))
})
document.getElementById('pairings').addEventListener('click', (event) => {
  const button = event.target.closest('[data-decide]')
  if (button === null) return
  const { key } = button.closest('tr').dataset
  act(button, async () => {
    await call('POST', `/api/pairings/${encodeURIComponent(key)}/${button.dataset.decide}`, {})
    // The button that had the focus goes with its row.
    document.getElementById('main').focus()
  })
})
