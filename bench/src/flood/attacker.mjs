import { connect } from 'node:net'
import { answerQuestions } from '../answer.mjs'
import { addressOf, frameOf, upgradeFrom } from './addresses.mjs'

const bad = frameOf(JSON.stringify({ type: 'auth', token: 'a-wrong-token-0123456789abcdef' }))
/** @type {Set<import('node:net').Socket>} */
const open = new Set()
let [sent, opened, turnedAway, began] = [0, 0, 0, 0]
/** @type {NodeJS.Timeout | undefined} */
let timer

/** @param {number} port @param {string} family @param {'bad' | 'nothing'} says */
function one(port, family, says) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  open.add(socket)
  socket.on('error', () => {})
  socket.once('data', (chunk) => {
    if (chunk.toString('latin1', 9, 12) === '101') opened++
    else turnedAway++
  })
  // The rest is read and not answered, a close frame least of all.
  socket.on('data', () => {})
  socket.once('end', () => socket.destroy())
  socket.once('close', () => open.delete(socket))
  socket.write(upgradeFrom(addressOf(family, 'flood', sent++)))
  if (says === 'bad') socket.write(bad)
}

answerQuestions(async ({ what, port, family, sockets, rate, says }) => {
  if (what === 'begin') {
    began = performance.now()
    let owed = 0
    let last = began
    const go = () => {
      const now = performance.now()
      owed = Math.min(owed + ((now - last) * rate) / 1000, rate / 10)
      last = now
      for (; owed >= 1 && open.size < sockets; owed--) one(port, family, says)
    }
    if (sockets === 0) return {}
    timer = setInterval(go, 5)
    // The flood is there before anybody else comes: twice the deadline under pressure at most.
    while (sent < sockets && performance.now() - began < 6000) await new Promise((r) => setTimeout(r, 20))
    return {}
  }
  clearInterval(timer)
  const seconds = (performance.now() - began) / 1000
  for (const socket of open) socket.destroy()
  return { opened, turnedAway, seconds }
})
