const password = /** @type {HTMLInputElement} */ (document.getElementById('password'))
const reveal = document.getElementById('reveal')
reveal.classList.add('ready')
reveal.addEventListener('click', () => {
  const show = password.type === 'password'
  password.type = show ? 'text' : 'password'
  reveal.textContent = show ? 'Hide' : 'Show'
  reveal.setAttribute('aria-pressed', String(show))
  reveal.setAttribute('aria-label', show ? 'Hide password' : 'Show password')
})
reveal.setAttribute('aria-label', 'Show password')

// The cookie is SameSite=Strict: a link on another site leads here even if this browser is logged in.
const next = document.querySelector('input[name=next]')
if (next instanceof HTMLInputElement && document.referrer !== '') {
  if (new URL(document.referrer).origin !== location.origin) {
    const answer = await fetch('/api/me')
    if (answer.ok) location.replace(next.value)
  }
}
