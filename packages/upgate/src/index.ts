export type { AuditEvent, AuditEvents, EventPlace } from './core/events.ts'
