import { call } from './api.js'
import { cloneRow, syncRows } from './rows.js'
import { setTime } from './time.js'

const introductions = { code: 'with a code', window: 'in a window', credential: 'with a login' }
const error = document.getElementById('pairing-error')

/** Fetches the pending requests, and the open codes and windows. */
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

function invitationItem({ id, kind, scopes, expiresAt }) {
  const item = cloneRow('invitation-item')
  item.dataset.key = id
  item.querySelector('[data-f=kind]').textContent =
    kind === 'code' ? 'A code is open' : 'Every device may ask'
  setTime(item.querySelector('[data-f=expiresAt]'), expiresAt, 'clock')
  item.querySelector('[data-f=scopes]').replaceChildren(...scopes.flatMap(tag))
  item.querySelector('[data-end]').dataset.end = id
  return item
}

/** Runs an action with its button disabled, and shows an error next to the button. */
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

function showCode({ code, scopes }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('code-dialog'))
  const value = /** @type {HTMLInputElement} */ (document.getElementById('code-value'))
  const command = document.getElementById('pair-command')
  value.value = code
  const wish = scopes.length === 0 ? '' : ` --scopes ${scopes.join(',')}`
  command.textContent = command.dataset.template.replace('{code}', code).replace('{scopes}', wish)
  document.getElementById('code-scopes').hidden = scopes.length === 0
  document.getElementById('code-scope-tags').replaceChildren(...scopes.flatMap(tag))
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

/**
 * Asks which of the requested scopes the device gets.
 *
 * @returns {Promise<string[] | undefined>} `undefined` if the dialog was cancelled
 */
function chooseScopes({ name, comparisonCode, scopes, grantable }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('approve-dialog'))
  const form = /** @type {HTMLFormElement} */ (document.getElementById('approve-form'))
  document.getElementById('approve-name').textContent = name
  document.getElementById('approve-code').textContent = comparisonCode
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
  return new Promise((resolve) => {
    let chosen
    const agree = (event) => {
      event.preventDefault()
      chosen = new FormData(form).getAll('scope')
      dialog.close()
    }
    form.addEventListener('submit', agree)
    dialog.addEventListener(
      'close',
      () => {
        form.removeEventListener('submit', agree)
        resolve(chosen)
      },
      { once: true },
    )
    dialog.showModal()
  })
}

async function approve(id) {
  const { requests } = await call('GET', '/api/pairings')
  const request = requests.find((each) => each.id === id)
  // No scopes to choose from, or no longer pending: the server's answer tells.
  const scopes = request?.scopes.length > 0 ? await chooseScopes(request) : []
  if (scopes === undefined) return false
  await call('POST', `/api/pairings/${encodeURIComponent(id)}/approve`, { scopes })
  return true
}

async function reject(id) {
  await call('POST', `/api/pairings/${encodeURIComponent(id)}/reject`, {})
  return true
}

document.getElementById('invite-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const form = /** @type {HTMLFormElement} */ (event.currentTarget)
  const button = /** @type {HTMLButtonElement} */ (event.submitter)
  const scopes = new FormData(form).getAll('scope')
  act(button, async () => {
    if (button.value === 'code') showCode(await call('POST', '/api/pairings/codes', { scopes }))
    else await call('POST', '/api/pairings/windows', { scopes })
    // The choices for this request must not apply to the next one.
    form.reset()
    form.querySelector('details').open = false
  })
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
  let decided = false
  act(button, async () => {
    decided = await (button.dataset.decide === 'approve' ? approve(key) : reject(key))
    // The focused button disappears with its row.
    if (decided) document.getElementById('main').focus()
  }).then(() => {
    if (!decided) button.focus()
  })
})
