import { cloneRow, showEmpty } from './rows.js'
import { openSocket } from './socket.js'
import { setTime } from './time.js'

const table = document.getElementById('audit')
const body = table.tBodies[0]
const limit = Number(table.dataset.limit)
const filter = /** @type {HTMLSelectElement} */ (document.getElementById('filter'))

// The server writes the lines that are there already, by the same three functions.

function groupOf(event) {
  if (/refused|failed|wrong/.test(event)) return 'refusals'
  if (/^(socket|deferred)/.test(event)) return 'sockets'
  return 'changes'
}

function whoOf(line) {
  return String(line.name ?? line.principal ?? line.by ?? line.address ?? '')
}

function whatOf(line) {
  const place = line.path === undefined ? '' : `${line.method ?? ''} ${line.path}`
  return [place, line.code ?? line.reason ?? '', line.detail ?? ''].filter((part) => part !== '').join(' · ')
}

function applyFilter() {
  for (const row of body.rows) row.hidden = filter.value !== 'all' && row.dataset.group !== filter.value
  showEmpty('audit', ![...body.rows].some((row) => !row.hidden))
}

filter.addEventListener('change', applyFilter)

openSocket('/ws/live', (message) => {
  if (message.type !== 'audit') return
  const { line } = message
  const row = cloneRow('audit-row')
  const field = (name) => row.querySelector(`[data-f="${name}"]`)
  row.dataset.group = groupOf(line.event)
  setTime(field('at'), line.at, 'clock')
  field('event').textContent = line.event.replaceAll('_', ' ')
  field('event').dataset.tone = groupOf(line.event)
  field('who').textContent = whoOf(line)
  field('what').textContent = whatOf(line)
  row.classList.add('new')
  body.prepend(row)
  while (body.rows.length > limit) body.lastElementChild.remove()
  applyFilter()
})
