import type { CloseCodes } from '../../core/contract/client-families.ts'
import type { Handshake, RefusalFrames } from '../../core/contract/handshake.ts'
import { compiledRuleOf, type DecidedRule } from '../../core/contract/rules.ts'
import { closeCodeFor } from '../../protocol.ts'

/** A refusal without a frame: its close code and reason say it all. */
export function closeOnly(code: Parameters<typeof closeCodeFor>[0], codes?: CloseCodes): RefusalFrames {
  return { frames: [], closeCode: codes?.refused(code) ?? closeCodeFor(code), closeReason: code }
}

/**
 * The handshake of a rule: its own, or one that sends no frame. A client of a path without a handshake speaks the
 * application's protocol, and a frame of any other could end its program.
 */
export function handshakeOf(decided: DecidedRule | undefined): Handshake {
  const rule = compiledRuleOf(decided)
  if (rule?.handshake !== undefined) return rule.handshake
  const codes = rule?.closeCodes
  return {
    name: 'none',
    receive: () => ({ step: 'ignore' }),
    accept: () => [],
    reject: ({ code }) => closeOnly(code, codes),
    ...(codes && { ended: codes.ended }),
  }
}
