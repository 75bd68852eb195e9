import { closeCodesOf } from '../../core/contract/client-families.ts'
import type { Frame, Handshake, HandshakeContext, HandshakeStep } from '../../core/contract/handshake.ts'
import { fn, optional, text, withDefault } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import { closeOnly } from './close-only.ts'
import { type JsonFrameOptions, type JsonMessage, makeJsonFrame } from './json-frame.ts'
import { bad, isObject, type JsonObject, own, type Read, readObject } from './read-frame.ts'

/** Options of {@link centrifuge}. */
export interface CentrifugeOptions<M = JsonMessage>
  extends Partial<Pick<JsonFrameOptions<M>, 'credential' | 'declared' | 'name'>> {}

const centrifugeOptions = optionTable<CentrifugeOptions>()({
  credential: withDefault(
    fn('a function that finds the credential in the command'),
    (connect) => connect.token,
  ),
  declared: optional(fn()),
  name: withDefault(text(), 'centrifuge'),
})

/** The id of the command `connect`: an error in answer to it carries the same. */
interface ConnectState {
  id: number | undefined
}

/**
 * The JSON protocol of centrifuge-js, with the credential in its first command, `connect`.
 *
 * By default the credential is the client's `token`; `credential` finds it elsewhere in the command, such as in `data`.
 * The application answers the command. A refused client gets a close code of Centrifugo: a final one stops it. After an
 * expired credential the client asks its `getToken` for a new one, and connects again.
 *
 * @param options - where the credential is, if it is not the `token` of the command
 * @returns the handshake, for a deferred rule
 * @throws TypeError for unknown options.
 * @example
 * { path: '/connection/websocket', access: 'deferred', handshake: centrifuge() }
 */
export function centrifuge<M = JsonMessage>(options: CentrifugeOptions<M> = {}): Handshake {
  const read = centrifugeOptions.read('centrifuge', options as unknown as CentrifugeOptions)
  const found = read as Required<CentrifugeOptions<M>>
  const frames = makeJsonFrame<M>('centrifuge', { ...found, replay: true, closeCodes: 'centrifuge' })
  const codes = closeCodesOf('centrifuge')
  return {
    ...frames,
    receive(frame, context): HandshakeStep {
      const command = connectIn(frame)
      if (command.rejection) return command.rejection
      stateOf(context).id = command.value.id
      return frames.receive(asFrame(command.value.connect), context)
    },
    claims(frame) {
      const command = connectIn(frame)
      // Every client begins so. If a cookie let the client in, this message may carry no credential.
      return command.value !== undefined && frames.claims?.(asFrame(command.value.connect)) === true
    },
    reject({ code }, context) {
      const { id } = stateOf(context)
      const closed = closeOnly(code, codes)
      if (code !== 'expired_credential' || id === undefined) return closed
      // By the close code alone it would come back with the same token.
      const error = { code: 109, message: 'token expired' }
      return { ...closed, frames: [JSON.stringify({ id, error })] }
    },
  }
}

/** Commands are JSON objects, one in a line, and `connect` is the first. */
function connectIn(frame: Frame): Read<{ readonly id: number; readonly connect: JsonObject }> {
  if (frame.binary) return { rejection: bad('The message is binary; JSON was expected.') }
  const line = frame.text.trimStart().split('\n', 1)[0] ?? ''
  const command = readObject({ binary: false, text: line })
  if (command.rejection) return command
  const id = own(command.value, 'id')
  const connect = own(command.value, 'connect')
  if (!isObject(connect) || typeof id !== 'number' || !Number.isSafeInteger(id)) {
    return { rejection: bad('The first command must be `connect`, with an id.') }
  }
  return { value: { id, connect } }
}

function asFrame(command: JsonObject): Frame {
  return { binary: false, text: JSON.stringify(command) }
}

function stateOf(context: HandshakeContext): ConnectState {
  context.state ??= { id: undefined } satisfies ConnectState
  return context.state as ConnectState
}
