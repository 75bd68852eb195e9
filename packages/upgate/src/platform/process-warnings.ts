import type { Logger } from '../core/ports/logger.ts'

/**
 * The logger where no other is given: warnings and errors go where Node's own warnings go. An operator has to hear of
 * an outage without having asked; `process.on('warning')` sees them, and `--no-warnings` silences them.
 */
export const processWarnings: Logger = { warn: emit, error: emit }

function emit(message: string, fields?: Readonly<Record<string, unknown>>): void {
  const detail = fields === undefined ? {} : { detail: JSON.stringify(fields) }
  process.emitWarning(message, { type: 'UpgateWarning', ...detail })
}
