import { diagnose, type Observation, withoutSecrets } from '@upgate/diagnosis'
import type { AttemptEnd, AttemptParts } from './attempt-contract.ts'
import type { Transport } from './transport.ts'

/** Milliseconds for a second look, at most. */
const longest = 3000

/** Second looks at the failures of one connection. */
export interface SecondLook {
  /** The end with a better verdict, if a second look told more. */
  at(end: AttemptEnd, parts: AttemptParts): Promise<AttemptEnd>
  /** The next failure of each kind is looked at again. */
  reset(): void
}

/** Looks again where the first verdict is one of several: once for each kind of failure in a row. */
export function createSecondLook(
  transport: Transport,
  { timeout, docs }: { readonly timeout: number; readonly docs: string | undefined },
): SecondLook {
  const seen = new Set<string>()
  return {
    async at(end, { url, headers }) {
      const { code, confusableWith, severity } = end.diagnosis
      const wanted = (confusableWith.length > 0 || !transport.sendsHeaders) && severity === 'error'
      if (transport.probe === undefined || !wanted || seen.has(code)) return end
      seen.add(code)
      let probes: Observation['probes']
      try {
        probes = await transport.probe({ url, headers, code, timeout: Math.min(timeout, longest) })
      } catch {
        // The probe only adds facts to the diagnosis.
      }
      if (probes === undefined) return end
      // The server may echo what it was sent now, and what it was sent before.
      const observation = { ...end.observation, probes: withoutSecrets(probes, end.secrets) }
      const diagnosis = diagnose(observation, docs === undefined ? {} : { docs })
      return { ...end, observation, diagnosis }
    },
    reset: () => seen.clear(),
  }
}
