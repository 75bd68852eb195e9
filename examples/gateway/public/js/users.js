import { call } from './api.js'
import { confirmRevoke } from './dialogs.js'
import { onCreate } from './manage.js'
import { cloneRow, syncRows } from './rows.js'
import { openSocket } from './socket.js'
import { setTime } from './time.js'

const table = document.getElementById('users')
const error = document.getElementById('users-error')

async function refresh() {
  const { users } = await call('GET', `/api/users${location.search}`)
  syncRows(
    'users',
    'user-row',
    users,
    (user) => user.id,
    (field, user, row) => {
      field('name').textContent = user.email
      field('current').textContent = user.current ? 'you' : ''
      field('state').dataset.state = user.disabled ? 'off' : 'on'
      field('stateText').textContent = user.disabled ? 'Disabled' : 'Enabled'
      field('scopes').replaceChildren(...user.scopes.flatMap(tag))
      setTime(field('createdAt'), user.createdAt)
      const sessions = row.querySelector('[data-sessions]')
      sessions.dataset.sessions = user.id
      sessions.setAttribute('aria-label', `Sessions of ${user.email}`)
      const change = row.querySelector('[data-change]')
      change.dataset.change = user.disabled ? 'enable' : 'disable'
      change.textContent = user.disabled ? 'Enable' : 'Disable'
      change.setAttribute('aria-label', `${change.textContent} ${user.email}`)
      change.disabled = user.current || !user.changeable
    },
  )
}

/** @param {string} text */
function tag(text) {
  const element = document.createElement('span')
  element.className = 'tag'
  element.textContent = text
  return [element, ' ']
}

/** Runs an action with its button disabled, and shows an error above the table. */
async function act(button, action) {
  error.textContent = ''
  button.disabled = true
  try {
    await action()
  } catch (failure) {
    error.textContent = failure.message
  }
  button.disabled = false
  await refresh().catch(() => {})
}

async function showSessions(id) {
  const { email, sessions } = await call('GET', `/api/users/${encodeURIComponent(id)}/sessions`)
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('sessions-dialog'))
  const end = /** @type {HTMLButtonElement} */ (document.getElementById('sessions-end'))
  document.getElementById('sessions-name').textContent = email
  document.getElementById('sessions-none').hidden = sessions.length > 0
  document.getElementById('sessions-list').replaceChildren(
    ...sessions.map((session) => {
      const item = cloneRow('session-item')
      item.querySelector('[data-f=browser]').textContent = session.browser
      item.querySelector('[data-f=address]').textContent = session.address ?? ''
      setTime(item.querySelector('[data-f=lastSeenAt]'), session.lastSeenAt)
      return item
    }),
  )
  end.onclick = () => {
    dialog.close()
    act(end, () => call('DELETE', `/api/users/${encodeURIComponent(id)}/sessions`))
  }
  dialog.showModal()
}

table.addEventListener('click', (event) => {
  const target = /** @type {Element} */ (event.target)
  const sessions = /** @type {HTMLButtonElement | null} */ (target.closest('[data-sessions]'))
  if (sessions !== null) act(sessions, () => showSessions(sessions.dataset.sessions))
  const change = /** @type {HTMLButtonElement | null} */ (target.closest('[data-change]'))
  if (change === null) return
  const row = change.closest('tr')
  act(change, async () => {
    const verb = change.dataset.change
    if (verb === 'disable' && !(await confirmRevoke(row.querySelector('[data-f=name]').textContent))) return
    await call('POST', `/api/users/${encodeURIComponent(row.dataset.key)}/${verb}`, {})
  })
})

onCreate('user-form', 'user-error', async (data) => {
  const password = data.get('password')
  await call('POST', '/api/users', {
    email: data.get('email'),
    scopes: data.getAll('scope'),
    ...(password !== null && { password }),
  })
  await refresh()
})

openSocket('/ws/live', (message) => {
  if (message.type === 'changed' && message.what === 'users') refresh().catch(() => {})
})
