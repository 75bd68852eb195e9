import type { Handshake, HandshakeContext, HandshakeStep } from '../../core/contract/handshake.ts'
import { flag } from '../../core/options/option-kinds.ts'
import { optionTable } from '../../core/options/option-table.ts'
import { authChallengeFrame, authErrorFrame, authOkFrame, closeCodeFor } from '../../protocol.ts'
import { bad, missing, own, readObject } from './read-frame.ts'
import { accepted, readAuth, refused } from './upgate-auth.ts'
import { deviceStateOf, upgateDevice } from './upgate-device.ts'
import { upgateRefresh } from './upgate-refresh.ts'

/** Options of {@link upgateHandshake}. */
export interface UpgateHandshakeOptions {
  /** Hands the first frame to the application after acceptance, as its first message. Default: false. */
  readonly replay?: boolean
  /**
   * Opens with `auth_challenge`, and reads a device's proof (`device`) and the claim secret of its pairing (`claim`),
   * for the schemes `deviceKey` and `claimSecret`. Default: false.
   */
  readonly deviceKeys?: boolean
  /**
   * Lets accepted sockets renew their credential with `auth_refresh`, and tells them a minute before it expires
   * (`auth_expiring`). Messages of that type then never reach the application. Default: false.
   */
  readonly refresh?: boolean
}

const upgateHandshakeOptions = optionTable<UpgateHandshakeOptions>()({
  replay: flag(false),
  deviceKeys: flag(false),
  refresh: flag(false),
})

/**
 * The minimal protocol of our own: `{"type":"auth","token":...}`, answered by `auth_ok` or `auth_error`.
 *
 * `docs/protocol.md` describes it; `upgate/protocol` holds its frames and close codes for clients.
 *
 * @param options - proofs of devices, refreshes and replay; all are off by default
 * @returns the handshake, for a deferred rule
 * @throws TypeError for unknown options.
 * @example
 * { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() }
 */
export function upgateHandshake(options: UpgateHandshakeOptions = {}): Handshake {
  const { replay, deviceKeys, refresh } = upgateHandshakeOptions.read('upgateHandshake', options)
  return {
    name: 'upgate',
    ...(deviceKeys && {
      open(context: HandshakeContext): readonly string[] {
        const nonce = context.randomId(32)
        deviceStateOf(context).nonce = nonce
        return [authChallengeFrame({ nonce, time: context.now() })]
      },
    }),
    receive(frame, context): HandshakeStep {
      const message = readObject(frame)
      if (message.rejection) return message.rejection
      if (own(message.value, 'type') !== 'auth') return bad('The first message must be of type `auth`.')
      const fields = readAuth(message.value)
      if (fields.rejection) return fields.rejection
      const { credential, declared } = fields.value
      if (deviceKeys) {
        const found = upgateDevice(message.value, declared, credential, deviceStateOf(context))
        if (found !== undefined) return found.step === 'reject' ? found : { ...found, replay }
      }
      if (credential === undefined)
        return missing('The `auth` message carries neither `token` nor `password`.')
      return { step: 'credential', credential, declared, replay }
    },
    claims(frame) {
      const message = readObject(frame)
      return message.value !== undefined && own(message.value, 'type') === 'auth'
    },
    accept: (acceptance) => [authOkFrame(accepted(acceptance))],
    reject: (refusal) => ({
      frames: [authErrorFrame(refused(refusal))],
      closeCode: closeCodeFor(refusal.code),
      closeReason: refusal.code,
    }),
    ...(refresh && { refresh: upgateRefresh }),
  }
}
