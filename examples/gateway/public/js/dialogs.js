// Copy buttons, the dialog that shows a token once, and the one that asks before revoking.

document.addEventListener('click', (event) => {
  const target = /** @type {Element} */ (event.target)
  const copy = target.closest('[data-copy]')
  if (copy !== null) void copyFrom(/** @type {HTMLButtonElement} */ (copy))
  if (target.closest('[data-close]') !== null) target.closest('dialog')?.close()
})

/** @param {HTMLButtonElement} button */
async function copyFrom(button) {
  const source = document.getElementById(button.dataset.copy)
  const text = source instanceof HTMLInputElement ? source.value : source.textContent
  const done = (await writeClipboard(text)) || copySelection(source)
  button.textContent = done ? 'Copied' : 'Press Ctrl+C'
  setTimeout(() => {
    button.textContent = 'Copy'
  }, 2000)
}

/** The clipboard is available only to pages over https and on this machine. @param {string} text */
async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}

/** Selects the text, so that the user can copy it with the keyboard. @param {HTMLElement} source */
function copySelection(source) {
  if (source instanceof HTMLInputElement) source.select()
  else getSelection().selectAllChildren(source)
  return document.execCommand('copy')
}

/**
 * Shows a new token, and removes it from the page when the dialog closes.
 *
 * @param {{ name: string, token: string }} issued
 */
export function showToken({ name, token }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('token-dialog'))
  const value = /** @type {HTMLInputElement} */ (document.getElementById('token-value'))
  const command = document.getElementById('run-command')
  document.getElementById('token-name').textContent = name
  value.value = token
  if (command !== null) command.textContent = command.dataset.template.replace('{token}', token)
  dialog.addEventListener(
    'close',
    () => {
      value.value = ''
      if (command !== null) command.textContent = ''
    },
    { once: true },
  )
  dialog.showModal()
  value.focus()
  value.select()
  // The prefix at the beginning tells the kind of token.
  value.scrollLeft = 0
}

/** Asks whether to revoke something. @param {string} name @returns {Promise<boolean>} */
export function confirmRevoke(name) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('confirm-dialog'))
  const yes = document.getElementById('confirm-yes')
  document.getElementById('confirm-name').textContent = name
  return new Promise((resolve) => {
    let answer = false
    const agree = () => {
      answer = true
      dialog.close()
    }
    yes.addEventListener('click', agree)
    dialog.addEventListener(
      'close',
      () => {
        yes.removeEventListener('click', agree)
        resolve(answer)
      },
      { once: true },
    )
    dialog.showModal()
  })
}
