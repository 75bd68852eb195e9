const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' })
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' })

const units = /** @type {const} */ ([
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
])

/** @param {Date} date */
function ago(date) {
  const seconds = Math.round((date.getTime() - Date.now()) / 1000)
  for (const [unit, length] of units) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit)
  }
  return seconds > -10 ? 'just now' : 'less than a minute ago'
}

/** @param {HTMLTimeElement} element */
function write(element) {
  const date = new Date(element.dateTime)
  if (Number.isNaN(date.getTime())) return
  const words = element.dataset.style === 'clock' ? clock.format(date) : ago(date)
  if (element.textContent !== words) element.textContent = words
  element.title = full.format(date)
}

/** Writes every time below an element in the reader's own zone and language. */
export function writeTimes(root = document) {
  for (const element of root.querySelectorAll('time[datetime]'))
    write(/** @type {HTMLTimeElement} */ (element))
}

/** Puts a moment into a cell. @param {Element} cell @param {string | null} iso */
export function setTime(cell, iso, style = 'relative') {
  if (iso === null) {
    const never = document.createElement('span')
    never.className = 'muted'
    never.textContent = 'never'
    cell.replaceChildren(never)
    return
  }
  const element = cell.querySelector('time') ?? document.createElement('time')
  element.dateTime = iso
  element.dataset.style = style
  if (element.parentElement !== cell) cell.replaceChildren(element)
  write(element)
}

writeTimes()
setInterval(() => writeTimes(), 15_000)
