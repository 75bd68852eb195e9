import type { Layer, Severity } from '@upgate/diagnosis'
import { exits } from './io.ts'

/** The exit status of a verdict. */
export function exitCodeOf({ layer, severity }: { layer: Layer; severity: Severity }): number {
  if (severity !== 'error') return exits.fine
  switch (layer) {
    case 'url':
      return exits.usage
    case 'edge-access':
    case 'origin-auth':
    case 'origin-pairing':
      return exits.authentication
    case 'dns':
    case 'tcp':
    case 'tls':
    case 'http':
    case 'tunnel':
    case 'edge-error':
      return exits.unreachable
    default:
      return exits.problem
  }
}
