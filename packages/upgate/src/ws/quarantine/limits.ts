import { randomBytes as nodeRandomBytes } from 'node:crypto'
import {
  assertKnownOptions,
  checkBooleans,
  checkFunctions,
  nameOf,
  optionsOf,
} from '../../core/options/check-options.ts'
import { looksLikeSecret } from '../socket/subprotocols.ts'
import type { QuarantineOptions } from './types.ts'

/** Every limit of a quarantine, with its default filled in. */
export type Limits = Required<Omit<QuarantineOptions, 'acquaintances'>>

export const quarantineOptionNames: readonly string[] = optionsOf<QuarantineOptions>()([
  'deadline',
  'verifyTimeout',
  'maxBytes',
  'maxDataFrames',
  'maxControlFrames',
  'maxAttempts',
  'maxQueuedMessages',
  'maxQueuedBytes',
  'maxSockets',
  'maxSocketsPerAddress',
  'maxAnonymousSockets',
  'pressureShare',
  'pressureDeadline',
  'reservedShare',
  'rememberSuccess',
  'acquaintances',
  'maxVerifying',
  'maxVerifyingPerAddress',
  'maxRefusals',
  'slowedSockets',
  'hold',
  'maxHeld',
  'closeGrace',
  'maxRefreshes',
  'maxRefreshFailures',
  'expiredCode',
  'revokedCode',
  'dangerouslyAllowCompression',
  'isSecretSubprotocol',
  'randomBytes',
])

/** Fills in the defaults; throws a `TypeError` that names the option which is unknown or makes no sense. */
export function resolveLimits(options: QuarantineOptions, where = 'createQuarantine'): Limits {
  assertKnownOptions(where, options, quarantineOptionNames)
  const {
    deadline = 10_000, // ms
    verifyTimeout = 5_000, // ms
    maxBytes = 65_536, // bytes on the wire
    maxDataFrames = 8,
    maxControlFrames = 16,
    maxAttempts = 1,
    maxQueuedMessages = 16,
    maxQueuedBytes = 65_536, // bytes of payload
    maxSockets = 1_000,
    maxSocketsPerAddress = 32, // IPv4 address or IPv6 /64; x2 per /56, x4 per /48
    maxAnonymousSockets = 1_000,
    pressureShare = 0.5, // of maxSockets
    pressureDeadline = 3_000, // ms
    reservedShare = 0.25, // of maxSockets
    rememberSuccess = 3_600_000, // ms
    maxVerifying = 64,
    maxVerifyingPerAddress = 4,
    maxRefusals = 10, // a minute
    slowedSockets = 2,
    hold = 1_000, // ms, plus or minus half
    maxHeld = 256,
    closeGrace = 1_000, // ms
    maxRefreshes = 6, // a minute
    maxRefreshFailures = 3, // in a row
    expiredCode = 4401,
    revokedCode = 4403,
    dangerouslyAllowCompression = false,
    isSecretSubprotocol = looksLikeSecret,
    randomBytes = nodeRandomBytes,
  } = options

  const times = { deadline, verifyTimeout, pressureDeadline, rememberSuccess, closeGrace }
  const atLeast = (name: string, value: unknown, least: number, most: number): void => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return
    const given = typeof value === 'number' ? '' : `, not ${nameOf(value)}`
    throw new TypeError(`${where}: \`${name}\` must be a whole number from ${least} to ${most}${given}.`)
  }
  for (const [name, value] of Object.entries(times)) atLeast(name, value, 1, 2 ** 31 - 1)
  atLeast('hold', hold, 0, 2 ** 30)
  const counts = {
    maxBytes,
    maxDataFrames,
    maxAttempts,
    maxSockets,
    maxSocketsPerAddress,
    maxVerifying,
    maxVerifyingPerAddress,
    maxRefusals,
    slowedSockets,
    maxRefreshes,
    maxRefreshFailures,
  }
  for (const [name, value] of Object.entries(counts)) atLeast(name, value, 1, Number.MAX_SAFE_INTEGER)
  const zeroable = { maxControlFrames, maxQueuedMessages, maxQueuedBytes, maxAnonymousSockets, maxHeld }
  for (const [name, value] of Object.entries(zeroable)) atLeast(name, value, 0, Number.MAX_SAFE_INTEGER)
  for (const [name, value] of Object.entries({ pressureShare, reservedShare })) {
    if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
      throw new TypeError(`${where}: \`${name}\` must be a number from 0 to 1.`)
    }
  }
  for (const [name, value] of Object.entries({ expiredCode, revokedCode })) {
    if (value !== 1008 && !(Number.isInteger(value) && value >= 3000 && value <= 4999)) {
      throw new TypeError(`${where}: \`${name}\` must be a close code: 1008, or 3000 to 4999.`)
    }
  }
  checkBooleans(where, { dangerouslyAllowCompression })
  checkFunctions(where, { isSecretSubprotocol, randomBytes })
  if (!((randomBytes(1) as unknown) instanceof Uint8Array)) {
    throw new TypeError(`${where}: \`randomBytes\` must return a Uint8Array of so many bytes, and at once.`)
  }

  return {
    deadline,
    verifyTimeout,
    maxBytes,
    maxDataFrames,
    maxControlFrames,
    maxAttempts,
    maxQueuedMessages,
    maxQueuedBytes,
    maxSockets,
    maxSocketsPerAddress,
    maxAnonymousSockets,
    pressureShare,
    pressureDeadline,
    reservedShare,
    rememberSuccess,
    maxVerifying,
    maxVerifyingPerAddress,
    maxRefusals,
    slowedSockets,
    hold,
    maxHeld,
    closeGrace,
    maxRefreshes,
    maxRefreshFailures,
    expiredCode,
    revokedCode,
    dangerouslyAllowCompression,
    isSecretSubprotocol,
    randomBytes,
  }
}
