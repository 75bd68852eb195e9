import {
  type AuthChallengeFrame,
  type AuthOkFrame,
  type AuthRefreshedFrame,
  authFrame,
  authRefreshFrame,
  deviceAuthText,
  parseServerFrame,
} from 'upgate/protocol'
import { checkAll, text, texts } from '../check.ts'
import { type Credential, tokenOf } from '../credential.ts'
import type { Acceptance, AfterStep, ClientHandshake, Conversation, ConversationStep } from '../handshake.ts'
import { objectOf, textsOf } from './json.ts'
import { kindOf } from './kind.ts'

/** Options of {@link upgateHandshake}. */
export interface UpgateHandshakeOptions {
  /** Narrows the role of the credential's record; it never adds to it. */
  readonly role?: string
  /** Narrows the scopes of the credential's record. */
  readonly scopes?: readonly string[]
}

/**
 * The minimal protocol of Upgate: `auth`, `auth_ok`, `auth_error`, and renewals. It is spoken by `upgateHandshake()` and,
 * with the field `token`, by `jsonFrame` of `upgate/ws`. Without a credential, no frame is sent: a cookie or a header of
 * the upgrade has to do.
 */
export function upgateHandshake(options: UpgateHandshakeOptions = {}): ClientHandshake {
  checkAll('upgateHandshake', options, { role: text(), scopes: texts('a list of scopes') })
  const { role, scopes } = options
  const wish = { ...(role !== undefined && { role }), ...(scopes !== undefined && { scopes }) }

  return {
    name: 'upgate',
    kindOf,
    begin(credential): Conversation {
      return {
        acceptedAtOpen: credential === undefined,
        opened() {
          if (credential === undefined || isDevice(credential)) return []
          return [authFrame({ ...wish, ...proofOf(credential) })]
        },
        async receive(text): Promise<ConversationStep> {
          const frame = parseServerFrame(text)
          if (frame?.type === 'auth_ok') return { step: 'accepted', acceptance: acceptanceOf(frame) }
          if (frame?.type === 'auth_error') return { step: 'refused' }
          if (frame?.type === 'auth_challenge' && credential !== undefined && isDevice(credential)) {
            return { step: 'send', frames: [await deviceFrame(credential, frame, wish)] }
          }
          return { step: 'wait' }
        },
        after(text): AfterStep {
          // Cheaper than parsing every message of the application.
          if (!text.startsWith('{"type":"auth_')) return { step: 'data' }
          const frame = parseServerFrame(text)
          if (frame?.type === 'auth_expiring') return { step: 'expiring' }
          if (frame?.type === 'auth_refreshed') return { step: 'renewed', acceptance: acceptanceOf(frame) }
          if (frame?.type === 'auth_refresh_failed') {
            return { step: 'renewal_failed', code: frame.code, message: frame.message }
          }
          return { step: 'data' }
        },
        renew: (newer) => authRefreshFrame({ ...wish, ...proofOf(newer) }),
      }
    },
  }
}

type Wish = Pick<UpgateHandshakeOptions, 'role' | 'scopes'>
type Device = Extract<Credential, { readonly device: unknown }>

function isDevice(credential: Credential): credential is Device {
  return typeof credential === 'object' && 'device' in credential
}

function proofOf(credential: Credential): Parameters<typeof authFrame>[0] {
  if (typeof credential === 'string') return { token: credential }
  if ('password' in credential) return { ...credential }
  if ('claim' in credential) {
    const { claim, code, name } = credential
    return { claim, ...(code !== undefined && { token: code }), ...(name !== undefined && { name }) }
  }
  const token = tokenOf(credential)
  return token === undefined ? {} : { token }
}

/** Signed over the server's nonce and the server's clock: the client's own clock may be wrong. */
async function deviceFrame(credential: Device, challenge: AuthChallengeFrame, wish: Wish): Promise<string> {
  const { device, name } = credential
  const token = credential.token ?? credential.code
  const { publicKey } = device
  const signedAt = Number.isFinite(challenge.time) ? challenge.time : 0
  const text = deviceAuthText({ publicKey, ...wish, signedAt, token, nonce: challenge.nonce, name })
  if (text === undefined)
    throw new TypeError('upgateHandshake: a token or role holds `|`, or a scope a comma.')
  const signature = await device.sign(text)
  return authFrame({
    ...wish,
    ...(token !== undefined && { token }),
    ...(name !== undefined && { name }),
    device: { publicKey, signature, signedAt },
  })
}

function acceptanceOf(frame: AuthOkFrame | AuthRefreshedFrame): Acceptance {
  const { principal, roles, scopes, expiresAt, deviceToken } = frame
  const { kind, id } = objectOf(principal) ?? {}
  return {
    ...(typeof kind === 'string' && typeof id === 'string' && { principal: { kind, id } }),
    roles: textsOf(roles),
    scopes: textsOf(scopes),
    ...(typeof expiresAt === 'number' && { expiresAt }),
    ...(typeof deviceToken === 'string' && { deviceToken }),
    raw: frame,
  }
}
