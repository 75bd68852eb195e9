import type { IncomingMessage } from 'node:http'
import type { Gate } from '../../core/contract/gate.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { upgradeAdded } from '../../core/way/upgrade.ts'
import { NodeRequest } from '../../node/request.ts'

/** Milliseconds until such requests may be warned of again. */
const hour = 3_600_000

/**
 * Makes the warning of ordinary requests that arrive with `Upgrade: websocket`: at most one an hour, because each client
 * can send them, without a proxy.
 *
 * The gate cannot say it: it gets these requests without the header.
 */
export function addedUpgrades<P extends Principal>({
  clock,
  logger,
}: Gate<P>): (request: IncomingMessage) => void {
  let last: number | undefined
  return (request) => {
    const now = clock.now()
    if (last !== undefined && now >= last && now - last < hour) return
    const finding = upgradeAdded(new NodeRequest('http', request))
    if (finding === undefined) return
    last = now
    logger.warn('A proxy seems to add Upgrade to ordinary requests.', { reason: finding.sentence })
  }
}
