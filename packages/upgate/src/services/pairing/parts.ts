import type { Verification } from '../../core/contract/credential.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Logger } from '../../core/ports/logger.ts'
import type { PairingStore } from '../../core/ports/pairings.ts'
import type { RevocationSelector } from '../../core/ports/revocations.ts'
import type { TokenStore } from '../../core/ports/stores.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import type { Failures } from '../accounts/failure-limits.ts'
import type { OwnRevocations } from '../revocations/revocations.ts'
import type { ResolvedPairingOptions } from './options.ts'

export interface PairingParts {
  readonly store: PairingStore
  readonly devices: TokenStore
  readonly clock: Clock
  readonly logger: Logger
  readonly revocations: OwnRevocations
  readonly randomBytes: (size: number) => Uint8Array
  readonly failures: Failures
  /** Empties the cache of a device's token: its record was changed. */
  forget(selector: RevocationSelector): void
  /** Says whether a device's record is valid now. */
  judge(record: TokenRecord): Promise<Verification>
  readonly options: ResolvedPairingOptions
}
