import { connect } from '/assets/lib/client.js'
import { goToLogin } from './api.js'

/** Milliseconds before a new connection after an end without retry, if the session still counts. */
const pause = 15_000

/** Whether this browser has a session, possibly a new one. */
async function isLoggedIn() {
  // A login ends the old session before its answer, with the new cookie, has arrived.
  await new Promise((resolve) => setTimeout(resolve, 500))
  try {
    return (await fetch('/api/me')).ok
  } catch {
    return true // The gateway does not answer: that is no word about the session.
  }
}

/**
 * Keeps a socket to the gateway open, shows its state in the page's head, and why it is lost, and passes on its messages.
 *
 * @param {string} path
 * @param {(message: any) => void} onMessage
 * @returns {{ send(message: unknown): boolean }}
 */
export function openSocket(path, onMessage) {
  const state = document.getElementById('live')
  const text = document.getElementById('live-text')
  const reason = document.createElement('p')
  reason.id = 'live-reason'
  reason.className = 'alert'
  reason.hidden = true
  state.closest('.page-head').after(reason)
  let connection
  let failures = 0
  let leaving = false

  /** @param {'connecting' | 'on' | 'lost'} name @param {string} words */
  function show(name, words) {
    if (state.dataset.state === name && text.textContent === words) return
    state.dataset.state = name
    text.textContent = words
  }

  /** A restart of a second needs no words. */
  function explain({ title, action, code }) {
    reason.textContent = `${title}. ${action} (${code})`
    reason.hidden = failures < 2
  }

  function open() {
    const url = new URL(path, location.href)
    url.protocol = url.protocol.replace('http', 'ws')
    connection = connect(url, { reconnect: { max: 15_000 } })
    connection.on('accepted', () => {
      failures = 0
      reason.hidden = true
      show('on', 'Live')
    })
    connection.on('message', (data) => {
      try {
        onMessage(JSON.parse(data))
      } catch (error) {
        console.error('A message of the gateway could not be handled.', error)
      }
    })
    connection.on('failed', ({ diagnosis }) => {
      if (leaving) return
      failures += 1
      explain(diagnosis)
    })
    connection.on('state', ({ name }) => {
      if (leaving) return
      if (name === 'waiting') show('lost', 'Reconnecting')
      if (name === 'offline') show('lost', 'Offline')
    })
    connection.on('closed', async (error) => {
      if (leaving || error === undefined) return
      // Only a new login helps, unless another page has just logged in.
      show('lost', error.diagnosis.layer === 'origin-auth' ? 'Session ended' : 'Reconnecting')
      if (!(await isLoggedIn())) return goToLogin()
      setTimeout(() => leaving || open(), failures < 2 ? 1000 : pause)
    })
  }

  // Logging out ends the session, and with it this socket, before the browser has arrived at the login page.
  document.addEventListener('submit', (event) => {
    if (event.target instanceof HTMLFormElement && event.target.action.endsWith('/logout')) leaving = true
  })
  addEventListener('pagehide', () => {
    leaving = true
    connection.close()
  })
  // A page that comes back from the browser's cache has no socket any more.
  addEventListener('pageshow', (event) => {
    if (event.persisted) location.reload()
  })
  open()
  return { send: (message) => connection.send(JSON.stringify(message)) }
}
