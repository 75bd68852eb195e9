import { cell, counted, fine, table } from '../table.mjs'
import { guards } from './guards.mjs'

/** @param {import('../suite.mjs').Result} result */
export function reportRevocation({ samples, settings, seed }) {
  const rows = Object.entries(guards).flatMap(([guard, name]) => {
    const of = samples[guard]
    if (of === undefined) return []
    return [[name, ...['one', 'slowest', 'many'].map((measure) => cell(of[measure], seed, fine))]]
  })
  const { sockets, single } = settings
  return `## Revocation

Milliseconds at the client: from its request that revokes a device to the close frame of that device's socket. ${counted(single)} devices with one socket are revoked one after the other (the median and the slowest of each round), then one device with ${counted(sockets)} sockets. Upgate writes the revocation down first. In *another instance*, the request goes to one instance and the sockets are on another, which hears of it by PostgreSQL's LISTEN; both are in one process here.

${table(['server', 'one socket, median', 'one socket, slowest', `the last of ${counted(sockets)}`], rows)}`
}
