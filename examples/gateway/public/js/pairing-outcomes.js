// What became of requests that have left the table: approved, connected, rejected, expired.
import { call } from './api.js'
import { outcomeWords } from './pairing-words.js'
import { cloneRow } from './rows.js'

const stored = 'gateway.outcomes'
const atMost = 5
const list = document.getElementById('outcome-list')

/** Ids of the requests, newest first. A reload keeps them. */
let ids = readIds()

function readIds() {
  try {
    const value = JSON.parse(sessionStorage.getItem(stored) ?? '[]')
    return Array.isArray(value) ? value.filter((id) => typeof id === 'string').slice(0, atMost) : []
  } catch {
    return []
  }
}

function keepIds() {
  try {
    sessionStorage.setItem(stored, JSON.stringify(ids))
  } catch {
    // Without storage the list lasts as long as the page.
  }
}

/** Follows requests that are no longer pending. @param {readonly string[]} decided */
export function follow(decided) {
  const fresh = decided.filter((id) => !ids.includes(id))
  if (fresh.length === 0) return
  ids = [...fresh, ...ids].slice(0, atMost)
  keepIds()
}

/** Fetches the requests that are followed, and shows where each stands. */
export async function refreshOutcomes() {
  const asked = ids
  const outcomes = await Promise.all(
    asked.map((id) => call('GET', `/api/pairings/${encodeURIComponent(id)}`).catch(() => undefined)),
  )
  if (asked !== ids) return refreshOutcomes()
  const over = outcomes.filter((outcome) => outcome !== undefined && outcome.state !== 'pending')
  document.getElementById('outcomes').hidden = over.length === 0
  const known = new Map([...list.children].map((item) => [item.dataset.key, item]))
  over.forEach((outcome, index) => {
    const item = known.get(outcome.id) ?? cloneRow('outcome-item')
    known.delete(outcome.id)
    item.dataset.key = outcome.id
    const [state, what] = outcomeWords(outcome)
    write(item, 'state', state)
    write(item, 'name', outcome.device?.name ?? outcome.name)
    write(item, 'code', outcome.comparisonCode)
    write(item, 'what', what)
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null)
  })
  for (const item of known.values()) item.remove()
}

/** Writes only changes, since every write in a live region is read out. */
function write(item, name, text) {
  const field = item.querySelector(`[data-f=${name}]`)
  if (field.textContent !== text) field.textContent = text
}

document.getElementById('outcomes-clear').addEventListener('click', () => {
  ids = []
  keepIds()
  document.getElementById('main').focus()
  refreshOutcomes().catch(() => {})
})
