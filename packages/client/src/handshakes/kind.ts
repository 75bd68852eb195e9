import type { SentCredential } from '@upgate/diagnosis'
import type { Credential } from '../credential.ts'

/** The kind of a credential, by its form. */
export function kindOf(credential: Credential): SentCredential {
  if (typeof credential === 'string') return kindOfToken(credential)
  if ('password' in credential) return 'password'
  if ('device' in credential) return 'device_key'
  return 'claim' in credential ? 'pairing_code' : kindOfToken(credential.token)
}

function kindOfToken(token: string): SentCredential {
  if (/^(?:ugd_|mdt_)/.test(token)) return 'device_token'
  if (/^(?:ugk_|mk_)/.test(token)) return 'api_key'
  if (/^ugt_/.test(token)) return 'ticket'
  return 'shared_token'
}
