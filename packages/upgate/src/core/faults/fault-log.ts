import type { Clock, Timer } from '../ports/clock.ts'
import type { Logger } from '../ports/logger.ts'
import { Secrets } from './secrets.ts'

/** Lines at once about one place, and milliseconds until another may follow. */
const burst = 5
const interval = 10_000
/** Milliseconds after which lines that were left out are counted in one of their own, where none has said so before. */
const summaryAfter = 60_000
/** Characters read of a message or stack, and shown of a message. */
const maxRead = 16_384
const maxShown = 1_000
const maxFrames = 20
const maxFrame = 300
/** Causes and parts of an `AggregateError` that are shown, in all, and how deep they are looked for. */
const maxCauses = 6
const maxDepth = 4

/** An exception, fit to be logged: cut, without control characters and without credentials. */
export interface DescribedFault {
  /** Name and message: `TypeError: id is not a string`. Of any other value its type and text. */
  readonly error: string
  /** A line each. */
  readonly stack: readonly string[]
  /** Its causes or, for an `AggregateError`, its parts. */
  readonly causes?: readonly DescribedFault[]
}

/** An exception, and where it came from. */
export interface Fault {
  /** Begins the log line, and says what comes of it. */
  readonly message: string
  /**
   * Names the place, such as `{ scheme: 'session', hook: 'verify' }`: lines are counted by it. Nothing a client
   * sent.
   */
  readonly place: Readonly<Record<string, string>>
  /** The thrown value, of any type. */
  readonly error: unknown
  /** Adds the credentials that it may quote. */
  readonly secrets: (secrets: Secrets) => void
}

/** The one place where exceptions of application code are logged. */
export interface FaultLog {
  /** Logs an exception, unless too many came from the same place. Never throws. */
  report(fault: Fault): void
  /** Logs a warning at the same bounded rate. Never throws. */
  warn(message: string, fields: Readonly<Record<string, unknown>>): void
  /** Cancels timers. */
  close(): void
}

interface Bucket {
  lines: number
  since: number
  suppressed: number
  timer: Timer | undefined
}

/**
 * Creates a log of exceptions: five lines at once for each place, then one in ten seconds, and how many were
 * left out.
 */
export function createFaultLog({
  clock,
  logger,
}: {
  readonly clock: Clock
  readonly logger: Logger
}): FaultLog {
  const buckets = new Map<string, Bucket>()

  function write(
    level: 'warn' | 'error',
    message: string,
    place: Readonly<Record<string, unknown>>,
    more: () => Readonly<Record<string, unknown>>,
  ): void {
    const now = clock.now()
    const key = `${message} ${JSON.stringify(place)}`
    let bucket = buckets.get(key)
    if (bucket === undefined) {
      bucket = { lines: burst, since: now, suppressed: 0, timer: undefined }
      buckets.set(key, bucket)
    }
    const earned = Math.floor((now - bucket.since) / interval)
    if (earned !== 0) {
      // A clock that was set back earns nothing, and must not silence the log until it has caught up.
      bucket.lines = Math.min(burst, bucket.lines + Math.max(0, earned))
      bucket.since = now
    }
    if (bucket.lines === 0) {
      bucket.suppressed++
      bucket.timer ??= clock.setTimer(summaryAfter, () => summarise(level, message, place, bucket))
      return
    }
    bucket.lines--
    const { suppressed } = bucket
    bucket.suppressed = 0
    say(level, message, { ...place, ...more(), ...(suppressed === 0 ? {} : { suppressed }) })
  }

  function summarise(
    level: 'warn' | 'error',
    message: string,
    place: Readonly<Record<string, unknown>>,
    bucket: Bucket,
  ): void {
    bucket.timer = undefined
    const { suppressed } = bucket
    bucket.suppressed = 0
    if (suppressed > 0) say(level, message, { ...place, suppressed })
  }

  function say(level: 'warn' | 'error', message: string, fields: Readonly<Record<string, unknown>>): void {
    try {
      logger[level](message, fields)
    } catch {
      // A logger that breaks must not change the decision.
    }
  }

  return {
    report({ message, place, error, secrets }) {
      write('error', message, place, () => ({ ...describeFault(error, secrets) }))
    },
    warn(message, fields) {
      // Counted by the message alone: the fields may be a client's.
      write('warn', message, {}, () => fields)
    },
    close() {
      for (const bucket of buckets.values()) bucket.timer?.cancel()
    },
  }
}

/** Describes whatever was thrown. Never throws, however hostile that is. */
export function describeFault(error: unknown, collect: Fault['secrets']): DescribedFault {
  const secrets = new Secrets()
  let redact = (text: string): string => secrets.redact(text)
  try {
    collect(secrets)
  } catch {
    // A credential that could not be collected cannot be replaced in the text.
    redact = () => '[not shown: the credentials of this request could not be read]'
  }
  const left = { count: maxCauses }
  return describe(error, (text) => redact(text.slice(0, maxRead)), left, 0)
}

/** An exception in one line. */
export function faultLine(error: unknown, secrets: Fault['secrets'] = () => {}): string {
  return describeFault(error, secrets).error.slice(0, 300)
}

function describe(
  error: unknown,
  redact: (text: string) => string,
  left: { count: number },
  depth: number,
): DescribedFault {
  const name = escapeControls(redact(nameOf(error))).slice(0, 100)
  const raw = messageOf(error)
  const message = escapeControls(redact(raw)).slice(0, maxShown)
  // In one go: looking for credentials costs more than the lines are long.
  const frames = redact(framesOf(error, raw).join('\n'))
  const stack = frames === '' ? [] : frames.split('\n').map((line) => escapeControls(line).slice(0, maxFrame))
  const causes: DescribedFault[] = []
  for (const cause of depth < maxDepth ? causesOf(error) : []) {
    if (left.count-- <= 0) break
    causes.push(describe(cause, redact, left, depth + 1))
  }
  return {
    error: message === '' ? name : `${name}: ${message}`,
    stack,
    ...(causes.length === 0 ? {} : { causes }),
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** A property that may be a getter that throws, of what may be a proxy. */
function read(value: unknown, property: string): unknown {
  try {
    return isObject(value) ? (value as Record<string, unknown>)[property] : undefined
  } catch {
    return undefined
  }
}

function nameOf(error: unknown): string {
  if (error === null) return 'null'
  if (!isObject(error)) return typeof error
  const name = read(error, 'name')
  if (typeof name === 'string' && name !== '') return name
  const made = read(read(error, 'constructor'), 'name')
  return typeof made === 'string' && made !== '' ? made : 'object'
}

function messageOf(error: unknown): string {
  if (!isObject(error)) return error === undefined || error === null ? '' : String(error)
  const message = read(error, 'message')
  if (typeof message === 'string') return message
  try {
    return String(message ?? error)
  } catch {
    return 'it cannot be shown'
  }
}

/** The lines of a stack that name places. What stands before them is the message, which is shown by itself. */
function framesOf(error: unknown, message: string): readonly string[] {
  const stack = read(error, 'stack')
  if (typeof stack !== 'string') return []
  const start = message === '' ? -1 : stack.slice(0, maxRead).indexOf(message)
  const rest = start === -1 ? stack : stack.slice(start + message.length)
  return rest
    .slice(0, maxRead)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^at |@/.test(line))
    .slice(0, maxFrames)
}

function causesOf(error: unknown): readonly unknown[] {
  const cause = read(error, 'cause')
  const errors = read(error, 'errors')
  const parts: unknown[] = cause === undefined ? [] : [cause]
  try {
    if (Array.isArray(errors)) parts.push(...errors.slice(0, maxCauses))
  } catch {}
  return parts
}

/** Control, format and separator characters, and halves of surrogate pairs: what could forge or hide a line. */
function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    const code = (character.codePointAt(0) as number).toString(16)
    return code.length <= 4 ? `\\u${code.padStart(4, '0')}` : `\\u{${code}}`
  })
}
