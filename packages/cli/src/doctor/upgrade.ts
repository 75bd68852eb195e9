import { type WsTransportOptions, wsTransport } from '@upgate/client'
import { type Observation, withoutSecrets } from '@upgate/diagnosis'

/** The result of an upgrade without a credential of the protocol. */
export interface Opening {
  readonly opened: boolean
  /** The end that the server chose, within the time in which its first words were awaited. */
  readonly closed: { readonly code: number; readonly reason: string } | undefined
  readonly frames: readonly string[]
  readonly observation: Observation
}

/** Milliseconds for the server's first words. */
const firstWords = 1000
/** Frames that are kept, and characters of each. */
const keptFrames = 8
const keptLength = 8192

/** Opens a WebSocket without a credential, listens for a moment, and closes it. */
export function openSocket(
  url: string,
  {
    headers,
    timeout,
    signal,
    secrets,
    network,
  }: {
    readonly headers: Readonly<Record<string, string>>
    readonly timeout: number
    readonly signal: AbortSignal
    readonly secrets: readonly string[]
    readonly network: WsTransportOptions
  },
): Promise<Opening> {
  return new Promise((resolve) => {
    let observation: Observation = { url }
    let opened = false
    let ended = false
    const frames: string[] = []
    const end = (closed?: Opening['closed'], more: Observation = {}): void => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      const seen = { ...observation, frames, ...(closed !== undefined && { close: closed }), ...more }
      const clean = withoutSecrets(seen, secrets)
      // The frames are printed, too.
      resolve({ opened, closed, frames: clean.frames ?? [], observation: clean })
    }
    const stop = (): void => {
      socket.terminate()
      end(undefined, { error: { aborted: true } })
    }
    let timer = setTimeout(() => {
      socket.terminate()
      end(undefined, {
        error: { timedOut: true, message: `No answer to the upgrade within ${timeout / 1000} s.` },
      })
    }, timeout)
    const socket = wsTransport({ ...network, maxPayload: 64 * 1024 }).open(
      { url, protocols: [], headers, timeout: timeout + 1000 },
      {
        reached(step) {
          observation = { ...observation, reached: step }
        },
        observed(facts) {
          observation = { ...observation, ...facts }
        },
        active() {},
        pong() {},
        opened() {
          opened = true
          observation = { ...observation, reached: 'open' }
          clearTimeout(timer)
          timer = setTimeout(() => {
            socket.close(1000, '')
            // A server that does not answer the close frame must not keep the command alive.
            setTimeout(() => socket.terminate(), 500).unref()
            end()
          }, firstWords)
        },
        message(data) {
          if (typeof data === 'string' && frames.length < keptFrames) frames.push(data.slice(0, keptLength))
        },
        closed(code, reason) {
          end(opened || observation.error === undefined ? { code, reason } : undefined)
        },
      },
    )
    signal.addEventListener('abort', stop, { once: true })
  })
}
