// Loaded before the node program with `--import`: its pauses of seconds become tenths of that. They are printed and
// measured as they are elsewhere; its deadlines, of ten seconds and more, stay.
const { setTimeout } = globalThis

/** @type {(callback: () => void, milliseconds: number, ...rest: unknown[]) => unknown} */
const quick = (callback, milliseconds, ...rest) =>
  setTimeout(
    callback,
    milliseconds >= 1000 && milliseconds < 10_000 ? milliseconds / 10 : milliseconds,
    ...rest,
  )
Object.assign(globalThis, { setTimeout: quick })
