export { type GuardedServer, type GuardServerOptions, guardServer } from './ws/guard-server.ts'
export { createQuarantine } from './ws/quarantine.ts'
export type {
  Admission,
  DrainOptions,
  Quarantine,
  QuarantineCounts,
  QuarantineGate,
  QuarantineOptions,
  WebSocketLike,
  WebSocketServerLike,
} from './ws/types.ts'
