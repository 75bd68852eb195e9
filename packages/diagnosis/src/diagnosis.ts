import type { DiagnosisCode } from './codes.ts'

/** The parts of the way from a client to the application, in the order in which an attempt passes them. */
export const layers = [
  'client',
  'url',
  'dns',
  'tcp',
  'tls',
  'http',
  'proxy',
  'edge-bot',
  'edge-access',
  'edge-error',
  'tunnel',
  'wrong-server',
  'origin-auth',
  'origin-pairing',
  'protocol',
  'net',
] as const

/** The part of the way that ended the attempt. */
export type Layer = (typeof layers)[number]

/** `error`: no connection. `warning`: a connection with something wrong. `info`: nothing to repair. */
export type Severity = 'error' | 'warning' | 'info'

/**
 * Whether trying again makes sense: `never` (the answer would be the same), `after_new_credential` (once, with another
 * credential), or `backoff` (with growing, random pauses).
 */
export type Retry = 'never' | 'after_new_credential' | 'backoff'

/** Another diagnosis with similar signs, and the second look that tells the two apart. */
export interface Confusable {
  readonly code: DiagnosisCode
  /** The next step for a person. */
  readonly probe: string
}

/** One observed fact, safe to print on a terminal and to show in HTML: cut, cleaned and redacted. */
export interface Evidence {
  readonly name: string
  readonly value: string
}

/** An entry of the table, without the code that recognises it. */
export interface DiagnosisEntry {
  /** Stable: codes that were released do not change. */
  readonly code: DiagnosisCode
  readonly layer: Layer
  readonly severity: Severity
  /** One line. */
  readonly title: string
  /** The signs, as a person sees them. */
  readonly sees: string
  /** Why it happens. */
  readonly cause: string
  /** The next step. */
  readonly action: string
  readonly retry: Retry
  readonly confusableWith: readonly Confusable[]
}

/** The verdict on an observation. */
export interface Diagnosis extends Omit<DiagnosisEntry, 'sees'> {
  /** The facts behind the verdict, the most important one first. */
  readonly evidence: readonly Evidence[]
  /** The page about this code. */
  readonly link: string
  /** Seconds to wait at least, from `Retry-After`, the body or a frame; at most a day. */
  readonly retryAfter: number | undefined
}
