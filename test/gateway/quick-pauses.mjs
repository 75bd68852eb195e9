// Loaded before `upgate node` with `--import`: divides its pauses of seconds by ten. It prints and
// measures them as usual; its deadlines, of ten seconds and more, stay.
const { setTimeout } = globalThis

/** @type {(callback: () => void, milliseconds: number, ...rest: unknown[]) => unknown} */
const quick = (callback, milliseconds, ...rest) =>
  setTimeout(
    callback,
    milliseconds >= 1000 && milliseconds < 10_000 ? milliseconds / 10 : milliseconds,
    ...rest,
  )
Object.assign(globalThis, { setTimeout: quick })
