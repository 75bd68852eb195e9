/**
 * Upgate in front of a bare `http` server.
 *
 * @module
 */
export { httpGate, type RequestListener } from './node/http-gate.ts'
