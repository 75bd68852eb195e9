import type { DoctorOptions } from '@upgate/cli'
import type { ConnectOptions } from '@upgate/client'
import type { DiagnosisCode } from '@upgate/diagnosis'
import type { Stage } from './stage.ts'

/** A way in which a connection fails, produced for real on loopback. */
export interface Situation {
  /** What is wrong, in a few words. */
  readonly name: string
  /** A number for each of the ways to fail that a reader of the list may look for; equal numbers are variants. */
  readonly number: number
  /** The only right verdict. */
  readonly code: DiagnosisCode
  /** The product that a program of this repository stands for. */
  readonly simulated?: string
  /** Why the client, or the doctor, cannot come into this situation. */
  readonly without?: { readonly client?: string; readonly doctor?: string }
  start(stage: Stage): Started | Promise<Started>
}

/** What to connect to, and with which options. */
export interface Started {
  readonly url: string
  readonly client?: ConnectOptions
  readonly doctor?: Partial<DoctorOptions>
  /** Values that nothing may print; those in `client` and `doctor` count by themselves. */
  readonly secrets?: readonly string[]
}
