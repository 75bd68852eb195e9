/* Functions that run in a page: they use nothing of their module. */

/** What a WebSocket says first, or the code with which it closes. */
export async function talk(url: string): Promise<string> {
  const socket = new WebSocket(url.replace('http', 'ws'))
  return await new Promise((resolve) => {
    socket.onmessage = (event) => {
      resolve(event.data)
      socket.close()
    }
    socket.onclose = (event) => resolve(`closed ${event.code}`)
  })
}

/** Of a stranger: posts with the visitor's cookies, as a form does. */
export async function post(url: string): Promise<void> {
  await fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'a=1' })
}

/** Of the application: fetches a ticket and opens a WebSocket with it. */
export async function talkByTicket(origin: string): Promise<string> {
  const answer = await fetch('/tickets', { method: 'POST', body: JSON.stringify({ path: '/by-ticket' }) })
  const { subprotocol } = await answer.json()
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/by-ticket`, ['chat.v1', subprotocol])
  return await new Promise((resolve) => {
    socket.onmessage = (event) => resolve(event.data)
    socket.onclose = (event) => resolve(`closed ${event.code}`)
  })
}
