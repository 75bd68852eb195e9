import { openSocket } from './socket.js'

const list = document.getElementById('messages')
const form = /** @type {HTMLFormElement} */ (document.getElementById('say-form'))
const input = /** @type {HTMLInputElement} */ (document.getElementById('say-text'))
const error = document.getElementById('say-error')
const presence = document.getElementById('presence')
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })
const shownAtMost = 200

let seat
let newest = 0

/** Messages are set as text, never as markup: a user's message cannot inject any. */
function add(message) {
  const row = document.getElementById('message-row').content.firstElementChild.cloneNode(true)
  const mine = message.seat === seat
  row.classList.toggle('mine', mine)
  row.querySelector('[data-f=from]').textContent = mine ? 'You' : `${message.from} (window ${message.seat})`
  const time = row.querySelector('[data-f=at]')
  time.dateTime = message.at
  time.textContent = clock.format(new Date(message.at))
  row.querySelector('[data-f=text]').textContent = message.text
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40
  list.append(row)
  while (list.children.length > shownAtMost) list.firstElementChild.remove()
  if (atEnd || mine) list.scrollTop = list.scrollHeight
  document.getElementById('chat-empty').hidden = true
}

function addNew(message) {
  if (message.number <= newest) return
  newest = message.number
  add(message)
}

const socket = openSocket('/ws/chat', (message) => {
  switch (message.type) {
    case 'welcome':
      seat = message.seat
      // The gateway was restarted: its count begins again.
      if ((message.history.at(-1)?.number ?? 0) < newest) newest = 0
      for (const earlier of message.history) addNew(earlier)
      break
    case 'message':
      addNew(message)
      break
    case 'presence':
      presence.textContent =
        message.count === 1 ? 'One window is here.' : `${message.count} windows are here.`
      break
    case 'error':
      error.textContent = message.detail
      break
  }
})

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const text = input.value.trim()
  if (text === '') return
  error.textContent = ''
  if (socket.send({ type: 'say', text })) input.value = ''
  else
    error.textContent =
      'Not connected at the moment. Your message is still here; send it again in a few seconds.'
  input.focus()
})
