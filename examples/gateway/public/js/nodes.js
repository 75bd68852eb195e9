import { call } from './api.js'
import { showToken } from './dialogs.js'
import { onCreate, onRevoke } from './manage.js'
import { refreshPairings } from './pairings.js'
import { syncRows } from './rows.js'
import { openSocket } from './socket.js'
import { setTime } from './time.js'

/** Ids of the devices that are connected now. */
let connected = new Set()
/** Until the first list arrives, the page shows the server's markup. */
let devices

function showNodes(nodes) {
  connected = new Set(nodes.map((node) => node.id))
  document.getElementById('node-count').textContent = String(nodes.length)
  syncRows(
    'nodes',
    'node-row',
    nodes,
    (node) => node.connection,
    (field, node) => {
      field('name').textContent = node.name
      field('id').textContent = node.id
      field('role').textContent = node.role
      field('address').textContent = node.address ?? 'unknown'
      field('addressHint').textContent = node.addressHint ?? ''
      setTime(field('connectedAt'), node.connectedAt)
    },
  )
  if (devices !== undefined) showDevices()
}

function showDevices() {
  document.getElementById('empty-first').hidden = devices.length > 0
  document.getElementById('empty-next').hidden = devices.length === 0
  syncRows(
    'devices',
    'device-row',
    devices,
    (device) => device.id,
    (field, device, row) => {
      const on = connected.has(device.id)
      field('name').textContent = device.name
      field('id').textContent = device.id
      field('key').textContent = device.key === null ? 'no key' : `key ${device.key}`
      field('state').dataset.state = on ? 'on' : 'off'
      field('stateText').textContent = on ? 'Connected' : 'Offline'
      setTime(field('createdAt'), device.createdAt)
      setTime(field('lastUsedAt'), device.lastUsedAt)
      const revoke = row.querySelector('[data-revoke]')
      revoke.dataset.revoke = device.id
      revoke.setAttribute('aria-label', `Revoke ${device.name}`)
    },
  )
}

async function refresh() {
  ;({ devices } = await call('GET', `/api/devices${location.search}`))
  showDevices()
}

onCreate('device-form', 'device-error', async (data) => {
  const issued = await call('POST', '/api/devices', { name: data.get('name') })
  showToken(issued)
  await refresh()
})
onRevoke('devices', '/api/devices', 'device-error', refresh)

openSocket('/ws/live', (message) => {
  if (message.type === 'nodes') {
    showNodes(message.nodes)
    // The time of the last login has changed with it.
    refresh().catch(() => {})
    refreshPairings().catch(() => {})
  } else if (message.type === 'changed' && message.what === 'devices') refresh().catch(() => {})
  else if (message.type === 'changed' && message.what === 'pairings') refreshPairings().catch(() => {})
})
