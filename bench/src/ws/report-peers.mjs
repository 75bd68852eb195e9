import { median, ratios } from '../statistics.mjs'
import { cell, counted, precise, table, whole } from '../table.mjs'

/** @typedef {import('../suite.mjs').Result} Result */

/** Sockets that are open and silent, by server. @type {Readonly<Record<string, string>>} */
export const waitingNames = {
  gate: 'Upgate, in quarantine',
  bare: 'bare ws, no deadline',
  hand: 'ws and a deadline, by hand',
  'graphql-ws': 'graphql-ws, before `connection_init`',
  'socket.io': 'socket.io, before CONNECT',
  openclaw: "OpenClaw's gateway, before `connect`",
}

/** Sockets that proved their identity, by server. @type {Readonly<Record<string, readonly [name: string, where: string]>>} */
export const acceptedNames = {
  'gate-header': ['Upgate', 'header of the upgrade'],
  'hand-header': ['ws, by hand', 'header of the upgrade'],
  gate: ['Upgate', 'first frame'],
  hand: ['ws, by hand', 'first frame'],
  'graphql-ws': ['graphql-ws, `onConnect`', '`connection_init`'],
  'graphql-ws-gate': ['graphql-ws behind Upgate', '`connection_init`'],
  'socket.io': ['socket.io, `io.use`', 'CONNECT with `auth`'],
  openclaw: ["OpenClaw's gateway", '`connect`, after its challenge'],
}

/** @param {Result} result */
export function reportSocketPeers(result) {
  const { settings, samples, seed } = result
  /** Ratios to Upgate in the rounds in which the library was measured. */
  const toOurs = (
    /** @type {'waiting heap' | 'accepted accepts'} */ what,
    /** @type {readonly number[]} */ values,
  ) => {
    const [stage, measure = ''] = what.split(' ')
    const ours = samples[`${stage} gate`]?.[measure] ?? []
    const same =
      values.length === ours.length ? ours : ours.filter((_, round) => round % (settings.every ?? 1) === 0)
    return cell(ratios(values, same), seed, precise)
  }
  const waiting = Object.entries(waitingNames).flatMap(([guard, name]) => {
    const of = samples[`waiting ${guard}`]
    if (of === undefined) return []
    const { heap = [], resident = [], cpu = [] } = of
    return [
      [
        name,
        cell(heap, seed, whole),
        guard === 'gate' ? '1' : toOurs('waiting heap', heap),
        cell(resident, seed, whole),
        whole(median(cpu)),
      ],
    ]
  })
  const accepted = Object.entries(acceptedNames).flatMap(([guard, [name, where]]) => {
    const of = samples[`accepted ${guard}`]
    if (of === undefined) return []
    const { accepts = [], cpu = [] } = of
    return [
      [
        name,
        where,
        cell(accepts, seed, whole),
        guard === 'gate' ? '1' : toOurs('accepted accepts', accepts),
        cell(cpu, seed, whole),
      ],
    ]
  })
  const { versions = {}, openClaw } = settings
  const measured = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  if (openClaw !== undefined) measured.push(`OpenClaw ${openClaw.version}`)
  return `### Sockets without a credential, in other libraries

Open and silent, in the same rounds${(settings.every ?? 1) === 1 ? '' : ', libraries in every fifth one'}. ${measured.join(', ')}${measured.length > 0 ? '. ' : ''}${aboutOpenClaw(openClaw)}

${table(['server', 'heap bytes a socket', 'to Upgate', 'resident bytes a socket', 'CPU µs to open it'], waiting)}

### Handshakes with authentication

New TCP connections, from the SYN to the acceptance: the 101 for a credential in a header, else the frame that says so. Each server finds the token by its digest, in memory. socket.io and graphql-ws verify in the function that they have for it; behind Upgate, graphql-ws gets \`connection_init\` when the credential has been verified.

${table(['server', 'credential in', 'a second', 'to Upgate', 'server CPU, µs each'], accepted, { textColumns: 2 })}`
}

/** @param {{ warm: number, count: number } | undefined} openClaw */
function aboutOpenClaw(openClaw) {
  if (openClaw === undefined) {
    return "OpenClaw's gateway was not there (`UPGATE_OPENCLAW`), and is left out."
  }
  return `OpenClaw's gateway takes seconds to start: one process serves all rounds, on a newer Node, with ${counted(openClaw.count)} sockets a sample, 16 at a time, and a shared token; so its figures are of the same minutes, and its ratios are rough.`
}
