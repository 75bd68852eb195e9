import { WebSocket } from 'undici'
import { describe } from 'vitest'
import { behavesLikeANode } from './behaviours.ts'
import { Happenings } from './client.ts'

describe('the WebSocket of undici', () => {
  behavesLikeANode((url) => {
    const happenings = new Happenings()
    const socket = new WebSocket(url)
    socket.addEventListener('open', () => happenings.connected.resolve())
    socket.addEventListener('message', ({ data }) => happenings.message(String(data)))
    socket.addEventListener('close', ({ code, reason }) => happenings.closed.resolve({ code, reason }))
    return {
      connected: () => happenings.connected.promise,
      send: (text) => socket.send(text),
      message: () => happenings.take(),
      closed: () => happenings.closed.promise,
      stop: () => socket.close(),
    }
  })
})
