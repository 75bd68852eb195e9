import { call } from './api.js'
import { confirmRevoke } from './dialogs.js'
import { onCreate, onRevoke } from './manage.js'
import { syncRows } from './rows.js'
import { openSocket } from './socket.js'
import { setTime } from './time.js'

const others = document.getElementById('revoke-others')
const error = document.getElementById('session-error')

async function refresh() {
  const { sessions } = await call('GET', '/api/sessions')
  others.disabled = sessions.length < 2
  syncRows(
    'sessions',
    'session-row',
    sessions,
    (session) => session.id,
    (field, session, row) => {
      field('name').textContent = session.browser
      field('current').textContent = session.current ? 'this one' : ''
      field('address').textContent = session.address ?? 'unknown'
      setTime(field('createdAt'), session.createdAt)
      setTime(field('lastSeenAt'), session.lastSeenAt)
      const revoke = row.querySelector('[data-revoke]')
      revoke.dataset.revoke = session.id
      revoke.setAttribute('aria-label', `Revoke ${session.browser}`)
    },
  )
}

onRevoke('sessions', '/api/sessions', 'session-error', refresh)

others.addEventListener('click', async () => {
  error.textContent = ''
  if (!(await confirmRevoke('all others'))) return
  try {
    await call('DELETE', '/api/sessions/others')
    await refresh()
  } catch (failure) {
    error.textContent = failure.message
  }
})

onCreate('password-form', 'password-error', async (data) => {
  const done = document.getElementById('password-done')
  done.textContent = ''
  await call('POST', '/api/account/password', { current: data.get('current'), next: data.get('next') })
  done.textContent = 'Changed. Every other browser is logged out.'
  await refresh()
})

openSocket('/ws/live', () => {})
