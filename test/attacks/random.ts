import { randomOf } from './path-grammar.ts'

/** Seeded choices. */
export interface Random {
  /** A whole number from 0 to `n` - 1. */
  below(n: number): number
  /** True once in `n` times. */
  oneIn(n: number): boolean
  pick<T>(list: readonly T[]): T
  /** The results of `make`, `atLeast` to `atMost` of them. */
  many<T>(atLeast: number, atMost: number, make: () => T): T[]
  shuffled<T>(list: readonly T[]): T[]
}

export function createRandom(seed: number): Random {
  const next = randomOf(seed)
  const below = (n: number): number => Math.floor(next() * n)
  return {
    below,
    oneIn: (n) => below(n) === 0,
    pick: (list) => list[below(list.length)] as never,
    many: (atLeast, atMost, make) => Array.from({ length: atLeast + below(atMost - atLeast + 1) }, make),
    shuffled(list) {
      const all = [...list]
      for (let i = all.length - 1; i > 0; i--) {
        const j = below(i + 1)
        ;[all[i], all[j]] = [all[j] as never, all[i] as never]
      }
      return all
    },
  }
}

/** The seed of a fuzz, which UPGATE_SEED replaces. */
export const seed: number = Number(process.env.UPGATE_SEED ?? 1)

/** How many cases: UPGATE_FUZZ times as many as in `npm test`. */
export function cases(few: number): number {
  return few * Number(process.env.UPGATE_FUZZ ?? 1)
}

/** Enough time for that many cases, also on a busy machine. */
export function timeFor(few: number): number {
  return 120_000 + cases(few) * 50
}
