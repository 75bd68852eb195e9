import { randomBytes as nodeRandomBytes } from 'node:crypto'
import { isCallable } from '../../core/options/check-options.ts'
import {
  bytes,
  count,
  flag,
  fn,
  milliseconds,
  optionalNested,
  share,
  value,
  withDefault,
} from '../../core/options/option-kinds.ts'
import { type OptionTable, optionTable } from '../../core/options/option-table.ts'
import { looksLikeSecret } from '../socket/subprotocols.ts'
import { type AcquaintanceOptions, acquaintanceOptions } from './acquaintances.ts'
import type { QuarantineOptions } from './quarantine-options.ts'

/** Every limit of a quarantine, with its default filled in. */
export type Limits = Required<Omit<QuarantineOptions, 'acquaintances'>>

/** The options of a quarantine after reading. */
export type ResolvedQuarantineOptions = Limits & {
  readonly acquaintances: Required<AcquaintanceOptions> | undefined
}

/** Longest delay that Node's timers accept. */
const longest = 2 ** 31 - 1

const closeCode = value<number>(
  'a close code: 1008, or 3000 to 4999',
  (code) => code === 1008 || (Number.isInteger(code) && (code as number) >= 3000 && (code as number) <= 4999),
)

const randomness = value<NonNullable<QuarantineOptions['randomBytes']>>(
  'a function that returns a Uint8Array of so many bytes, and at once',
  (make) => isCallable(make) && (make as (size: number) => unknown)(1) instanceof Uint8Array,
  isCallable,
)

/** Default, least and most of every option. `guardServer` takes them as well. */
export const quarantineOptions: OptionTable<QuarantineOptions, ResolvedQuarantineOptions> =
  optionTable<QuarantineOptions>()({
    deadline: milliseconds(10_000, 1, longest),
    verifyTimeout: milliseconds(5_000, 1, longest),
    // Counted on the wire, before decompression.
    maxBytes: bytes(65_536, 1),
    maxDataFrames: count(8, 1),
    maxCollectedFrames: count(64, 1),
    // Counted as payload, after decompression.
    maxCollectedBytes: bytes(65_536, 1),
    maxControlFrames: count(16, 0),
    maxAttempts: count(1, 1),
    maxQueuedMessages: count(16, 0),
    // Counted as payload, after decompression.
    maxQueuedBytes: bytes(65_536, 0),
    maxSockets: count(1_000, 1),
    // For an IPv4 address or IPv6 /64; twice as many for a /56, four times as many for a /48.
    maxSocketsPerAddress: count(32, 1),
    maxAnonymousSockets: count(1_000, 0),
    // Shares of `maxSockets`.
    pressureShare: share(0.5),
    pressureDeadline: milliseconds(3_000, 1, longest),
    reservedShare: share(0.25),
    rememberSuccess: milliseconds(3_600_000, 1, longest),
    acquaintances: optionalNested(acquaintanceOptions),
    maxVerifying: count(64, 1),
    maxVerifyingPerAddress: count(4, 1),
    // A minute.
    maxRefusals: count(10, 1),
    slowedSockets: count(2, 1),
    // Plus or minus half.
    hold: milliseconds(1_000, 0, 2 ** 30),
    maxHeld: count(256, 0),
    closeGrace: milliseconds(1_000, 1, longest),
    // A minute.
    maxRefreshes: count(6, 1),
    // In a row.
    maxRefreshFailures: count(3, 1),
    expiredCode: withDefault(closeCode, 4401),
    revokedCode: withDefault(closeCode, 4403),
    dangerouslyAllowCompression: flag(false),
    isSecretSubprotocol: withDefault(fn(), looksLikeSecret),
    randomBytes: withDefault(randomness, nodeRandomBytes),
  })
