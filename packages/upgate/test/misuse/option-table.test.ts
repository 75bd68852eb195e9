import { describe, expect, it } from 'vitest'
import {
  count,
  flag,
  fn,
  list,
  methods,
  milliseconds,
  nested,
  oneOf,
  optional,
  optionalNested,
  text,
  withDefault,
} from '../../src/core/options/option-kinds.ts'
import { optionTable } from '../../src/core/options/option-table.ts'

interface Cache {
  readonly entries?: number
  readonly label?: string
}

interface Options {
  readonly keys: { verify(token: string): boolean }
  readonly cookie?: 'lax' | 'strict'
  readonly find?: (name: string) => number
  readonly lifetime?: number
  readonly paths?: readonly string[]
  readonly cache?: Cache
  readonly spare?: Cache
}

const cache = optionTable<Cache>()({ entries: count(10_000, 2), label: optional(text()) })
const kinds = {
  keys: methods<Options['keys']>(['verify'], '`services.keys`'),
  cookie: withDefault(oneOf('lax', 'strict'), 'lax'),
  find: optional(fn<NonNullable<Options['find']>>()),
  lifetime: milliseconds(30_000, 1_000, 120_000),
  paths: withDefault(
    list<string>("a list of paths, such as ['/ws']", (path) => String(path).startsWith('/')),
    [],
  ),
  cache: nested(cache),
  spare: optionalNested(cache),
}
const table = optionTable<Options>()(kinds)
const keys = { verify: () => true }

describe('a table of options', () => {
  it('fills in the defaults, those of nested options included, and changes nothing', () => {
    const options = Object.freeze({ keys })
    const read = table.read('make', options)
    expect(read).toEqual({
      keys,
      cookie: 'lax',
      find: undefined,
      lifetime: 30_000,
      paths: [],
      cache: { entries: 10_000, label: undefined },
      spare: undefined,
    })
    expect(table.read('make', { keys, spare: { entries: 2 } }).spare).toEqual({
      entries: 2,
      label: undefined,
    })
  })

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'make: `keys` is missing; give it `services.keys`.'],
    ['null', null, 'make: the options must be an object, not null.'],
    ['an unknown option', { keys, lifetme: 1 }, 'make: unknown option `lifetme`. Did you mean `lifetime`?'],
    [
      'a number out of range',
      { keys, lifetime: 5 },
      'make: `lifetime` must be a whole number of milliseconds from 1,000 to 120,000, not 5.',
    ],
    ['a number as text', { keys, lifetime: '5 minutes' }, 'from 1,000 to 120,000, not a string.'],
    ['another text', { keys, cookie: 'secret' }, "make: `cookie` must be 'lax' or 'strict'."],
    ['no function', { keys, find: 7 }, 'make: `find` must be a function, not a number.'],
    [
      'an entry of a list',
      { keys, paths: ['ws'] },
      "make: `paths` must be a list of paths, such as ['/ws'].",
    ],
    ['no list', { keys, paths: '/ws' }, "must be a list of paths, such as ['/ws'], not a string."],
    [
      'a nested option',
      { keys, cache: { entries: 1 } },
      'make: `cache.entries` must be a whole number from 2, not 1.',
    ],
    ['an unknown nested option', { keys, cache: { age: 1 } }, 'make: `cache`: unknown option `age`.'],
    [
      'no nested options',
      { keys, cache: 7 },
      'make: `cache` must be an object of options: entries, label, not a number.',
    ],
  ])('names the option and the remedy for %s', (_, options, message) => {
    expect(() => table.read('make', options as Options)).toThrow(TypeError)
    expect(() => table.read('make', options as Options)).toThrow(message)
  })

  it('never quotes a value that may be a secret', () => {
    const secret = 'ugk_0123456789'
    for (const wrong of [
      { keys: secret },
      { keys, cookie: secret },
      { keys, cache: secret },
      { keys, paths: [secret] },
    ]) {
      try {
        table.read('make', wrong as unknown as Options)
        expect.unreachable()
      } catch (error) {
        expect(String(error)).not.toContain(secret)
      }
    }
  })
})

describe('the compiler', () => {
  it('refuses a table that differs from the type, and knows which options have a default', () => {
    const read = table.read('make', { keys })
    const present: [number, 'lax' | 'strict', number, readonly string[]] = [
      read.lifetime,
      read.cookie,
      read.cache.entries,
      read.paths,
    ]
    expect(present).toHaveLength(4)
    // @ts-expect-error An option without a default may be absent.
    const absent: string = read.cache.label
    expect(absent).toBeUndefined()
    // @ts-expect-error `label` has no description.
    optionTable<Cache>()({ entries: count(1, 1) })
    // @ts-expect-error The type has no option `age`.
    optionTable<Cache>()({ entries: count(1, 1), label: optional(text()), age: count(1, 1) })
    // @ts-expect-error `entries` is a number.
    optionTable<Cache>()({ entries: flag(true), label: optional(text()) })
    // @ts-expect-error The service has no method `claims`.
    optionTable<Options>()({ ...kinds, keys: methods<Options['keys']>(['claims'], '`services.keys`') })
    // @ts-expect-error `cookie` has no such value.
    optionTable<Options>()({ ...kinds, cookie: withDefault(oneOf('lax', 'none'), 'lax') })
  })
})
