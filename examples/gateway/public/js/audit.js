import { cloneRow, showEmpty } from './rows.js'
import { openSocket } from './socket.js'
import { setTime } from './time.js'

const table = document.getElementById('audit')
const body = table.tBodies[0]
const limit = Number(table.dataset.limit)
const filter = /** @type {HTMLSelectElement} */ (document.getElementById('filter'))

function applyFilter() {
  for (const row of body.rows) row.hidden = filter.value !== 'all' && row.dataset.group !== filter.value
  showEmpty('audit', ![...body.rows].some((row) => !row.hidden))
}

filter.addEventListener('change', applyFilter)

openSocket('/ws/live', (message) => {
  if (message.type !== 'audit') return
  const { line, summary } = message
  const row = cloneRow('audit-row')
  const field = (name) => row.querySelector(`[data-f="${name}"]`)
  row.dataset.group = summary.group
  setTime(field('at'), line.at, 'clock')
  field('event').textContent = line.event.replaceAll('_', ' ')
  field('event').dataset.tone = summary.group
  field('who').textContent = summary.who
  field('what').textContent = summary.what
  row.classList.add('new')
  body.prepend(row)
  while (body.rows.length > limit) body.lastElementChild.remove()
  applyFilter()
})
