import { goToLogin } from './api.js'

const waits = [1000, 2000, 4000, 8000, 15_000]

/** Whether this browser has a session, possibly a new one. */
async function isLoggedIn() {
  // A login ends the old session before its answer, with the new cookie, has arrived.
  await new Promise((resolve) => setTimeout(resolve, 500))
  try {
    return (await fetch('/api/me')).ok
  } catch {
    return false
  }
}

/**
 * Keeps a socket to the gateway open, shows its state in the page's head, and passes on its messages.
 *
 * @param {string} path
 * @param {(message: any) => void} onMessage
 * @returns {{ send(message: unknown): boolean }}
 */
export function openSocket(path, onMessage) {
  const state = document.getElementById('live')
  const text = document.getElementById('live-text')
  let socket
  let failures = 0
  let leaving = false

  /** @param {'connecting' | 'on' | 'lost'} name @param {string} words */
  function show(name, words) {
    if (state.dataset.state === name && text.textContent === words) return
    state.dataset.state = name
    text.textContent = words
  }

  function connect() {
    const url = new URL(path, location.href)
    url.protocol = url.protocol.replace('http', 'ws')
    socket = new WebSocket(url)
    socket.addEventListener('open', () => {
      failures = 0
      show('on', 'Live')
    })
    socket.addEventListener('message', (event) => {
      try {
        onMessage(JSON.parse(event.data))
      } catch (error) {
        console.error('A message of the gateway could not be handled.', error)
      }
    })
    socket.addEventListener('close', async (event) => {
      if (leaving) return
      if (event.code === 4401 || event.code === 4403) {
        show('lost', 'Session ended')
        // The session was refused or has ended: only a new login helps, unless another page has just logged in.
        if (!(await isLoggedIn())) return goToLogin()
        if (leaving) return
      }
      const least = event.code === 4429 ? 30_000 : 0
      const wait = Math.max(least, waits[Math.min(failures, waits.length - 1)]) * (0.75 + Math.random() / 2)
      failures += 1
      show('lost', 'Reconnecting')
      setTimeout(connect, wait)
    })
  }

  // Logging out ends the session, and with it this socket, before the browser has arrived at the login page.
  document.addEventListener('submit', (event) => {
    if (event.target instanceof HTMLFormElement && event.target.action.endsWith('/logout')) leaving = true
  })
  addEventListener('pagehide', () => {
    leaving = true
    socket.close()
  })
  // A page that comes back from the browser's cache has no socket any more.
  addEventListener('pageshow', (event) => {
    if (event.persisted) location.reload()
  })
  connect()
  return {
    send(message) {
      if (socket.readyState !== WebSocket.OPEN) return false
      socket.send(JSON.stringify(message))
      return true
    },
  }
}
