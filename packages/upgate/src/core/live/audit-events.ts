import type { AuditEvent, AuditEvents } from '../contract/events.ts'
import { faultLine } from '../faults/fault-log.ts'
import type { Logger } from '../ports/logger.ts'

/** Creates the hub of audit events. */
export function createAuditEvents(logger: Logger): AuditEvents {
  const listeners = new Set<(event: AuditEvent) => void>()
  return {
    subscribe(listener) {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    },
    emit(event) {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch (error) {
          logger.error('A listener of audit events failed.', { event: event.type, error: faultLine(error) })
        }
      }
    },
    get active() {
      return listeners.size > 0
    },
  }
}
