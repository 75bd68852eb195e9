import type { Progress } from '../doctor/ladder.ts'
import type { Io } from '../io.ts'

/** One line on a terminal that says which check runs; nothing where standard error is no terminal. */
export function createProgress({ stderr }: Pick<Io, 'stderr'>, quiet: boolean): Progress & { end(): void } {
  const shown = stderr.isTTY === true && !quiet
  const clear = '\r\u001b[2K'
  return {
    started(title) {
      if (shown) stderr.write(`${clear}… ${title}`)
    },
    finished() {},
    end() {
      if (shown) stderr.write(clear)
    },
  }
}
