import { call } from './api.js'
import { approveInDialog, showArrivals, showCode, tag } from './pairing-dialogs.js'
import { follow, refreshOutcomes } from './pairing-outcomes.js'
import { askedWords } from './pairing-words.js'
import { cloneRow, syncRows } from './rows.js'
import { setTime } from './time.js'

const introductions = {
  code: 'with a code',
  window: 'in a window',
  credential: 'with a login',
  upgrade: 'is paired, and asks for more',
}
const error = document.getElementById('pairing-error')
/** Requests on the page: those that leave the list are followed to their end. */
let listed = [...document.querySelectorAll('#pairings tbody tr')].map((row) => row.dataset.key)

/** Fetches the pending requests, the open codes and windows, and what became of earlier requests. */
export async function refreshPairings() {
  const { requests, invitations } = await call('GET', '/api/pairings')
  const pending = requests.map(({ id }) => id)
  follow(listed.filter((id) => !pending.includes(id)))
  listed = pending
  document.getElementById('pairing-count').textContent = String(requests.length)
  syncRows(
    'pairings',
    'pairing-row',
    requests,
    (request) => request.id,
    (field, request, row) => {
      field('comparisonCode').textContent = request.comparisonCode
      field('name').textContent = request.name
      field('key').textContent = request.key ?? 'no key'
      field('wish').replaceChildren(...[request.role, ...request.scopes].flatMap(tag))
      field('address').textContent = request.address ?? 'unknown'
      field('proxy').hidden = !request.addressMayBeProxy
      field('introduction').textContent = introductions[request.introduction] ?? ''
      const asked = askedWords(request)
      if (field('asked').textContent !== asked) field('asked').textContent = asked
      row.classList.toggle('silent', request.silent)
      setTime(field('createdAt'), request.createdAt)
      for (const button of row.querySelectorAll('[data-decide]')) {
        const verb = button.dataset.decide === 'approve' ? 'Approve' : 'Reject'
        button.setAttribute('aria-label', `${verb} ${request.name}, ${request.comparisonCode}`)
      }
    },
  )
  document.getElementById('invitations').replaceChildren(...invitations.map(invitationItem))
  showArrivals(requests)
  await refreshOutcomes()
}

// A device that asks again causes no event, and neither does one that is gone.
setInterval(() => {
  if (document.visibilityState === 'visible' && listed.length > 0) refreshPairings().catch(() => {})
}, 5_000)

function invitationItem({ id, kind, scopes, expiresAt }) {
  const item = cloneRow('invitation-item')
  item.dataset.key = id
  item.querySelector('[data-f=kind]').textContent =
    kind === 'code' ? 'A code is open' : 'Every device may ask'
  setTime(item.querySelector('[data-f=expiresAt]'), expiresAt, 'clock')
  item.querySelector('[data-f=scopes]').replaceChildren(...scopes.flatMap(tag))
  item.querySelector('[data-end]').dataset.end = id
  return item
}

/** Runs an action with its button disabled, and shows an error next to the button. */
async function act(button, action) {
  error.textContent = ''
  button.disabled = true
  try {
    await action()
  } catch (failure) {
    error.textContent = failure.message
  } finally {
    button.disabled = false
  }
  await refreshPairings().catch(() => {})
}

async function approve(id) {
  const { requests } = await call('GET', '/api/pairings')
  const request = requests.find((each) => each.id === id)
  if (request === undefined)
    throw new Error('This request is no longer pending; see below what became of it.')
  return approveInDialog(request)
}

async function reject(id) {
  await call('POST', `/api/pairings/${encodeURIComponent(id)}/reject`, {})
  return true
}

document.getElementById('invite-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const form = /** @type {HTMLFormElement} */ (event.currentTarget)
  const button = /** @type {HTMLButtonElement} */ (event.submitter)
  const scopes = new FormData(form).getAll('scope')
  act(button, async () => {
    if (button.value === 'code') showCode(await call('POST', '/api/pairings/codes', { scopes }))
    else await call('POST', '/api/pairings/windows', { scopes })
    // The choices for this request must not apply to the next one.
    form.reset()
    form.querySelector('details').open = false
  })
})
document.getElementById('invitations').addEventListener('click', (event) => {
  const button = event.target.closest('[data-end]')
  if (button === null) return
  act(button, () => call('DELETE', `/api/pairings/invitations/${encodeURIComponent(button.dataset.end)}`))
})
document.getElementById('pairings').addEventListener('click', (event) => {
  const button = event.target.closest('[data-decide]')
  if (button === null) return
  const { key } = button.closest('tr').dataset
  let decided = false
  act(button, async () => {
    decided = await (button.dataset.decide === 'approve' ? approve(key) : reject(key))
    // The focused button disappears with its row.
    if (decided) document.getElementById('main').focus()
  }).then(() => {
    // Whoever has gone on meanwhile keeps the focus.
    if (!decided && document.activeElement === document.body) button.focus()
  })
})
