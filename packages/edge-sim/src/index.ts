export type { Identity, Outcome } from './answer.ts'
export type { ApplicationOptions, ApplicationSettings } from './applications.ts'
export type { Clock, Timer } from './clock.ts'
export { type EdgeFetchOptions, edgeFetch } from './edge-fetch.ts'
export { FAULT_KINDS, type Fault, type FaultKind, type FaultMatch } from './faults.ts'
export type { Leak } from './leaks.ts'
export type { AllowPolicy, BypassPolicy, Policy, ServiceAuthPolicy } from './policies.ts'
export type { LogEntry } from './request-log.ts'
export type { RandomBytes } from './secrets.ts'
export type { ServiceTokenCredentials, ServiceTokenOptions } from './service-tokens.ts'
export { type CertsDocument, KEY_OVERLAP_MS } from './signing-keys.ts'
export {
  type ApplicationInfo,
  type ClaimChanges,
  createEdgeSim,
  type EdgeSim,
  type EdgeSimOptions,
  type TeamInfo,
} from './sim.ts'
export type { MetaGeneration, TeamOptions, TeamSettings } from './teams.ts'
export type { UserOptions } from './users.ts'
export type { Urls } from './world.ts'
