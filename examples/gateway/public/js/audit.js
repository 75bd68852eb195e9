import { cloneRow, showEmpty } from './rows.js'
import { openSocket } from './socket.js'
import { setTime } from './time.js'

const table = document.getElementById('audit')
const body = table.tBodies[0]
const limit = Number(table.dataset.limit)
const filter = /** @type {HTMLSelectElement} */ (document.getElementById('filter'))

const since = /** @type {HTMLSelectElement} */ (document.getElementById('since'))
const search = /** @type {HTMLInputElement} */ (document.getElementById('search'))
const found = document.getElementById('audit-found')
/** Milliseconds that the gateway's clock is ahead of this one. */
const ahead = Number(table.dataset.now) - Date.now()

function applyFilter() {
  const from = since.value === '' ? 0 : Date.now() + ahead - Number(since.value) * 1000
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
  let shown = 0
  for (const row of body.rows) {
    const fits =
      (filter.value === 'all' || row.dataset.group === filter.value) &&
      (from === 0 || Date.parse(row.querySelector('time').dateTime) >= from) &&
      words.every((word) => row.dataset.search.includes(word))
    row.hidden = !fits
    if (fits) shown += 1
  }
  showEmpty('audit', shown === 0)
  const filtered = filter.value !== 'all' || from > 0 || words.length > 0
  document.getElementById('audit-none-found').hidden = !filtered
  document.getElementById('audit-none-yet').hidden = filtered
  const count = filtered ? `${shown} of ${body.rows.length} events` : ''
  if (found.textContent !== count) found.textContent = count
}

for (const control of [filter, since]) control.addEventListener('change', applyFilter)
search.addEventListener('input', applyFilter)
// With time, lines leave the last five minutes.
setInterval(applyFilter, 15_000)

openSocket('/ws/live', (message) => {
  if (message.type !== 'audit') return
  const { line, summary } = message
  const row = cloneRow('audit-row')
  const field = (name) => row.querySelector(`[data-f="${name}"]`)
  row.dataset.group = summary.group
  row.dataset.search = summary.search
  setTime(field('at'), line.at, 'clock')
  field('event').textContent = line.event.replaceAll('_', ' ')
  field('event').dataset.tone = summary.group
  field('who').textContent = summary.who
  field('from').textContent = summary.from
  field('what').textContent = summary.what
  row.classList.add('new')
  body.prepend(row)
  while (body.rows.length > limit) body.lastElementChild.remove()
  applyFilter()
})
