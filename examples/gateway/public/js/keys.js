import { call } from './api.js'
import { showToken } from './dialogs.js'
import { onCreate, onRevoke } from './manage.js'
import { syncRows } from './rows.js'
import { openSocket } from './socket.js'
import { setTime } from './time.js'

async function refresh() {
  const { keys } = await call('GET', `/api/keys${location.search}`)
  syncRows(
    'keys',
    'key-row',
    keys,
    (key) => key.id,
    (field, key, row) => {
      field('name').textContent = key.name
      field('id').textContent = key.id
      field('scopes').replaceChildren(...key.scopes.flatMap(scopeTag))
      setTime(field('createdAt'), key.createdAt)
      setTime(field('lastUsedAt'), key.lastUsedAt)
      const revoke = row.querySelector('[data-revoke]')
      revoke.dataset.revoke = key.id
      revoke.setAttribute('aria-label', `Revoke ${key.name}`)
    },
  )
}

/** @param {string} scope */
function scopeTag(scope) {
  const tag = document.createElement('span')
  tag.className = 'tag'
  tag.textContent = scope
  return [tag, ' ']
}

onCreate('key-form', 'key-error', async (data) => {
  const scopes = data.getAll('scope')
  if (scopes.length === 0)
    throw new Error('Choose at least one thing it may do; a key without scopes has no access.')
  showToken(await call('POST', '/api/keys', { name: data.get('name'), scopes }))
  await refresh()
})
onRevoke('keys', '/api/keys', 'key-error', refresh)

openSocket('/ws/live', (message) => {
  if (message.type === 'changed' && message.what === 'keys') refresh().catch(() => {})
})
