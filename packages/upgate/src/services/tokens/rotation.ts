import { assertKnownOptions } from '../../core/options/check-options.ts'
import { milliseconds } from '../../core/options/option-kinds.ts'
import type { RotationRefusal, RotationRefusalCode } from './types.ts'

const reasons: Readonly<Record<RotationRefusalCode, string>> = {
  unknown_credential: 'There is none of that id.',
  revoked_credential: 'It was revoked, and rotating does not restore it. Issue a new one.',
  expired_credential: 'It has expired. Issue a new one.',
  account_disabled: 'The account is disabled.',
  rotation_pending:
    'It was rotated a short time ago, and the token before still counts. Wait until that ends, or end it at once by rotating without overlap.',
}

/** The refusals, by code. */
export const refused = Object.fromEntries(
  Object.entries(reasons).map(([code, reason]) => [
    code,
    Object.freeze({ outcome: 'refused', code, reason }),
  ]),
) as { readonly [C in RotationRefusalCode]: RotationRefusal }

/** Whether a rotation with an overlap would end the token before the last rotation earlier than promised. */
export function rotationPending(
  record: { readonly previousUntil?: number | undefined },
  now: number,
  overlap: number,
): boolean {
  return overlap > 0 && record.previousUntil !== undefined && now < record.previousUntil
}

/** Reads an overlap, in milliseconds, from options. Throws a `TypeError` for a value out of range. */
export function checkOverlap<N extends string>(
  name: N,
  options: { readonly [K in N]?: number },
  standard: number,
  most: number,
): number {
  assertKnownOptions('rotate', options, [name])
  const kind = milliseconds(standard, 0, most)
  return kind.read('rotate', name, options[name] ?? standard)
}
