import type { Decider, Gate } from '../contract/gate.ts'
import { wrongArgument } from './check-options.ts'

/** Throws where something that is no gate is handed to an adapter. */
export function assertDecider(decider: unknown, where: string): void {
  if (typeof (decider as Partial<Decider> | null | undefined)?.decide !== 'function') {
    throw wrongArgument(where, 'first', 'a gate (createGate) or the result of gate.require(...)', decider)
  }
}

/** Throws where something that is no gate is handed to what needs a whole one. */
export function assertGate(gate: unknown, where: string, methods: readonly (keyof Gate)[]): void {
  const given = gate as Partial<Gate> | null | undefined
  if (methods.every((method) => typeof given?.[method] === 'function')) return
  throw wrongArgument(where, 'first', 'a gate (createGate)', gate)
}
