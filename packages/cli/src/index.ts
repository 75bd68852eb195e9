/**
 * The command `upgate`: `doctor` names the layer that refuses a connection.
 *
 * @module
 */

export type { Check, Report, Status, Verdict } from './doctor/check.ts'
export { type DoctorOptions, runDoctor } from './doctor/doctor.ts'
export type { Progress } from './doctor/ladder.ts'
export type { Io, Output } from './io.ts'
export { type OAuthDoctorOptions, runOAuthDoctor } from './oauth/doctor.ts'
export { run } from './run.ts'
