import type { PasswordCredential, TokenCredential } from '../../core/credential.ts'
import type { Handshake, HandshakeContext, HandshakeStep } from '../../core/handshake.ts'
import { assertKnownOptions } from '../../core/options.ts'
import { authChallengeFrame, authErrorFrame, authOkFrame, closeCodeFor } from '../../protocol.ts'
import { bad, missing, optionalString, optionalStrings, own, readObject } from './read-frame.ts'
import { deviceStateOf, upgateDevice } from './upgate-device.ts'

/** Options of {@link upgateHandshake}. */
export interface UpgateHandshakeOptions {
  /** Hands the first frame to the application after acceptance, as its first message. Default: false. */
  readonly replay?: boolean
  /**
   * Opens with `auth_challenge`, and reads a device's proof (`device`) and the claim secret of its pairing (`claim`),
   * for the schemes `deviceKey` and `claimSecret`. Default: false.
   */
  readonly deviceKeys?: boolean
}

/**
 * The minimal protocol of our own: `{"type":"auth","token":...}`, answered by `auth_ok` or `auth_error`.
 *
 * `docs/protocol.md` describes it; `upgate/protocol` holds its frames and close codes for clients.
 *
 * @throws TypeError for unknown options.
 * @example
 * { path: '/ws', access: 'deferred', kinds: ['device'], handshake: upgateHandshake() }
 */
export function upgateHandshake(options: UpgateHandshakeOptions = {}): Handshake {
  assertKnownOptions('upgateHandshake', options, ['replay', 'deviceKeys'])
  const { replay = false, deviceKeys = false } = options
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
      const token = optionalString(message.value, 'token')
      const password = optionalString(message.value, 'password')
      const account = optionalString(message.value, 'account')
      const role = optionalString(message.value, 'role')
      const scopes = optionalStrings(message.value, 'scopes')
      for (const field of [token, password, account, role, scopes]) {
        if (field.rejection) return field.rejection
      }
      if (token.value && password.value) {
        return {
          step: 'reject',
          code: 'multiple_credentials',
          detail: 'Send `token` or `password`, not both.',
        }
      }
      const credential: TokenCredential | PasswordCredential | undefined = token.value
        ? { type: 'token', source: 'frame', value: token.value }
        : password.value
          ? { type: 'password', source: 'frame', value: password.value, account: account.value }
          : undefined
      const declared = { role: role.value, scopes: scopes.value }
      if (deviceKeys) {
        const found = upgateDevice(message.value, declared, credential, deviceStateOf(context))
        if (found !== undefined) return found.step === 'reject' ? found : { ...found, replay }
      }
      if (credential === undefined)
        return missing('The `auth` message carries neither `token` nor `password`.')
      return { step: 'credential', credential, declared, replay }
    },
    accept({ principal, dropped, issued }) {
      const { kind, id, scopes, roles, expiresAt } = principal
      return [
        authOkFrame({
          principal: { kind, id },
          scopes,
          roles,
          ...(expiresAt !== undefined && { expiresAt }),
          ...(dropped && { dropped }),
          ...issued,
        }),
      ]
    },
    reject({ code, detail, action, retryAfter, facts }) {
      return {
        frames: [
          authErrorFrame({
            code,
            message: detail,
            action,
            ...(retryAfter !== undefined && { retryAfter }),
            ...(facts && { facts }),
          }),
        ],
        closeCode: closeCodeFor(code),
        closeReason: code,
      }
    },
  }
}
