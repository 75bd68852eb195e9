import { call } from './api.js'
import { confirmRevoke } from './dialogs.js'
import { setProse } from './prose.js'
import { openSocket } from './socket.js'
import { setTime } from './time.js'

const byId = (id) => document.getElementById(id)
const form = /** @type {HTMLFormElement} */ (byId('remote-form'))
const url = /** @type {HTMLInputElement} */ (byId('url'))
const access = byId('access-fields')
const accessNames = ['cfClientId', 'cfClientSecret']
const secretNames = ['token', 'sessionKey', ...accessNames]

/** The stored connection, as the gateway said last. */
let stored

/** @param {string} id @param {string} text */
function setText(id, text) {
  const element = byId(id)
  // Screen readers announce a changed text, also if it is the same.
  if (element.textContent !== text) element.textContent = text
}

function show(view) {
  stored = view
  byId('connection').hidden = view.state === 'off'
  byId('again').hidden = view.url === null
  setText('form-title', view.url === null ? 'Connect to a gateway' : 'Change the connection')
  form.dataset.url = view.url ?? ''
  byId('state').dataset.state = view.state
  setText('state-text', view.stateName)
  setText('fact-url', view.url ?? '')
  setTime(byId('fact-since'), view.since)
  showRow('fact-until', view.until !== undefined, () => setTime(byId('fact-until'), view.until, 'clock'))
  showRow('fact-role', view.granted !== undefined, () => setText('fact-role', view.grantedAs))
  setTime(byId('fact-set-at'), view.setAt)
  setText('fact-set-by', view.setBy ?? '')
  showRow('fact-paired', view.paired)
  showRow('fact-plain', view.plain)
  byId('pairing').hidden = view.pairing === undefined
  const { comparisonCode, requestId } = view.pairing ?? {}
  byId('pairing-with').hidden = comparisonCode === undefined
  showRow('pairing-code', comparisonCode !== undefined, () => setText('pairing-code', comparisonCode))
  showRow('pairing-id', requestId !== undefined, () => setText('pairing-id', requestId))
  showFailure(view.failure)
  fitForm()
}

/** @param {string} id @param {boolean} visible @param {() => void} [fill] */
function showRow(id, visible, fill) {
  byId(`${id}-row`).hidden = !visible
  if (visible) fill?.()
}

function showFailure(failure) {
  byId('failure').hidden = failure === undefined
  if (failure === undefined) return
  for (const [id, text] of [
    ['failure-title', failure.title],
    ['failure-layer', failure.layerName],
    ['failure-layer-code', failure.layer],
    ['failure-code', failure.code],
  ])
    setText(id, text)
  setProse(byId('failure-cause'), failure.cause)
  setProse(byId('failure-action'), failure.action)
  setTime(byId('failure-at'), failure.at)
  showRow('failure-link', failure.link !== undefined, () => {
    byId('failure-link').href = failure.link
  })
  byId('failure-evidence').hidden = failure.evidence.length === 0
  byId('failure-facts').replaceChildren(
    ...failure.evidence.map(({ name, value }) => {
      const item = document.createElement('li')
      const label = document.createElement('strong')
      const text = document.createElement('span')
      label.textContent = name
      text.className = 'mono'
      text.textContent = value
      item.append(label, ' ', text)
      return item
    }),
  )
}

/** Shows the fields and warnings that belong to the typed URL. */
function fitForm() {
  const typed = url.value.trim()
  access.hidden = !/^(?:wss|https):\/\//i.test(typed)
  byId('plain-hint').hidden =
    !/^(?:ws|http):\/\//i.test(typed) ||
    /^\w+:\/\/(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?:[:/]|$)/i.test(typed)
  // Stored secrets stay with their URL.
  const same = stored !== undefined && stored.url !== null && typed === stored.url
  for (const name of secretNames) {
    const saved = stored?.secrets[name] === true || (name === 'token' && stored?.paired === true)
    document.querySelector(`[data-saved=${name}]`).hidden = !(same && saved)
  }
}

async function refresh() {
  show(await call('GET', '/api/remote'))
}

/** Runs an action with its button disabled, and shows an error. */
async function act(button, place, action) {
  place.textContent = ''
  button.disabled = true
  try {
    await action()
  } catch (failure) {
    place.textContent = failure.message
  }
  button.disabled = false
}

function hideSecrets() {
  for (const button of document.querySelectorAll('[data-reveal]')) reveal(button, false)
}

/** @param {HTMLElement} button @param {boolean} visible */
function reveal(button, visible) {
  const input = /** @type {HTMLInputElement} */ (byId(button.dataset.reveal))
  input.type = visible ? 'text' : 'password'
  button.textContent = visible ? 'Hide' : 'Show'
  button.setAttribute('aria-pressed', String(visible))
  button.setAttribute('aria-label', `${visible ? 'Hide' : 'Show'} ${button.dataset.name}`)
}

for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-reveal]'))) {
  button.classList.add('ready')
  reveal(button, false)
  button.addEventListener('click', () => reveal(button, button.getAttribute('aria-pressed') !== 'true'))
}

url.addEventListener('input', fitForm)
form.addEventListener('submit', (event) => {
  event.preventDefault()
  act(form.querySelector('button[type=submit]'), byId('remote-error'), async () => {
    const body = { url: url.value }
    for (const name of secretNames) {
      const { value } = /** @type {HTMLInputElement} */ (byId(name))
      if (accessNames.includes(name) && access.hidden) body[name] = null
      else if (value.trim() !== '') body[name] = value
    }
    show(await call('POST', '/api/remote', body))
    url.value = stored.url
    for (const name of secretNames) byId(name).value = ''
    hideSecrets()
    fitForm()
    byId('connection').scrollIntoView({ block: 'nearest' })
  })
})

byId('again').addEventListener('click', (event) =>
  act(event.currentTarget, byId('connection-error'), async () => {
    show(await call('POST', '/api/remote', { url: stored.url }))
  }),
)

byId('forget').addEventListener('click', async (event) => {
  const button = event.currentTarget
  if (!(await confirmRevoke(stored.url === null ? 'the other gateway' : new URL(stored.url).host))) return
  await act(button, byId('connection-error'), async () => {
    await call('DELETE', '/api/remote')
    form.reset()
    url.value = ''
    await refresh()
    // The focused button disappeared with its section.
    url.focus()
  })
})

openSocket('/ws/live', (message) => {
  if (message.type === 'changed' && message.what === 'remote') refresh().catch(() => {})
  // The first message of a new socket: changes may have been missed before.
  if (message.type === 'nodes') refresh().catch(() => {})
})
refresh().catch(() => {})
