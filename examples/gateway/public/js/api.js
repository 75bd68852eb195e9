// Requests to the API. A refusal becomes an Error with a message for the user.

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>} the answer, or undefined if it is empty
 */
export async function call(method, path, body) {
  let response
  try {
    response = await fetch(path, {
      method,
      headers: {
        accept: 'application/json',
        // Tells an edge in front of the gateway to answer 401 rather than to redirect to its login page.
        'x-requested-with': 'XMLHttpRequest',
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  } catch {
    throw new Error('The gateway does not answer. Check that it runs, then try again.')
  }
  if (response.status === 401) {
    goToLogin()
    throw new Error('The session has ended. Log in again.')
  }
  const type = response.headers.get('content-type') ?? ''
  const answer = type.includes('json') ? await response.json() : undefined
  if (response.ok) return answer
  throw new Error(
    answer?.detail === undefined
      ? `The gateway answered ${response.status}.`
      : `${answer.detail} ${answer.action ?? ''}`,
  )
}

/** Goes to the login page and back; if an edge does the login, reloading this page leads to it. */
export function goToLogin() {
  if (document.getElementById('external-login') !== null) {
    location.reload()
    return
  }
  location.assign(`/login?next=${encodeURIComponent(location.pathname)}`)
}
