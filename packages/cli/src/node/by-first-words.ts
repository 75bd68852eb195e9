import {
  type ClientHandshake,
  type ConnectHandshakeOptions,
  type Conversation,
  connectHandshake,
  upgateHandshake,
} from '@upgate/client'

/** A handshake that speaks the protocol of the server's first words. */
export interface ByFirstWords extends ClientHandshake {
  /** Whether the server of the last socket has spoken first, in a protocol that is known. */
  readonly heard: boolean
}

/** `connect` where the server begins with `connect.challenge`, ours where it begins with `auth_challenge`. */
export function byFirstWords(options: ConnectHandshakeOptions): ByFirstWords {
  const connect = connectHandshake(options)
  const { role, scopes = [] } = options
  const ours = upgateHandshake({ ...(role !== undefined && { role }), ...(scopes.length > 0 && { scopes }) })
  let heard = false
  const chosenBy = (text: string): ClientHandshake | undefined => {
    if (text.includes('"connect.challenge"')) return connect
    return text.startsWith('{"type":"auth_challenge"') ? ours : undefined
  }
  return {
    name: 'by first words',
    get heard() {
      return heard
    },
    kindOf: connect.kindOf,
    begin(credential, talk): Conversation {
      let chosen: Conversation | undefined
      heard = false
      return {
        opened: () => [],
        async receive(text) {
          if (chosen !== undefined) return chosen.receive(text)
          chosen = chosenBy(text)?.begin?.(credential, talk)
          if (chosen === undefined) return { step: 'wait' }
          heard = true
          const frames = await chosen.opened()
          return frames.length > 0 ? { step: 'send', frames } : chosen.receive(text)
        },
        after: (text) => chosen?.after?.(text) ?? { step: 'data' },
      }
    },
  }
}
