import type { AcquaintanceStore } from '../../core/ports/acquaintances.ts'

export function memoryAcquaintances(run: <T>(operation: () => T) => Promise<T>): AcquaintanceStore {
  const ends = new Map<string, number>()
  const inOrder = () => [...ends].sort(([, a], [, b]) => b - a)
  return {
    list: (now, limit) =>
      run(() =>
        inOrder()
          .filter(([, until]) => until > now)
          .slice(0, limit)
          .map(([digest, until]) => ({ digest, until })),
      ),
    note: (records, now, atMost) =>
      run(() => {
        for (const { digest, until } of records) ends.set(digest, Math.max(until, ends.get(digest) ?? 0))
        for (const [digest, until] of ends) if (until <= now) ends.delete(digest)
        if (ends.size > atMost) for (const [digest] of inOrder().slice(atMost)) ends.delete(digest)
      }),
  }
}
