import { IncomingMessage } from 'node:http'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createNotes } from '../../src/core/request/notes.ts'

const aRequest = (): IncomingMessage => new IncomingMessage(undefined as never)

describe('notes on objects of the host', () => {
  it('are kept and replaced by object, and by note', () => {
    const one = createNotes<string>()
    const other = createNotes<string>()
    const request = aRequest()
    one.set(request, 'first')
    one.set(request, 'second')
    expect(one.get(request)).toBe('second')
    expect(one.get(aRequest())).toBeUndefined()
    expect(other.get(request)).toBeUndefined()
    other.set(request, 'of another gate')
    expect([one.get(request), other.get(request)]).toEqual(['second', 'of another gate'])
  })

  // A copy with other headers is decided again: a note that came along by the prototype would let it in.
  it('do not reach copies, heirs and proxies of the object', () => {
    const notes = createNotes<string>()
    const request = aRequest()
    notes.set(request, 'let in')
    expect(notes.get(Object.create(request))).toBeUndefined()
    expect(notes.get({ ...request })).toBeUndefined()
    expect(notes.get(new Proxy(request, {}))).toBeUndefined()
    const heir = Object.create(request)
    notes.set(heir, 'of the heir')
    expect([notes.get(request), notes.get(heir)]).toEqual(['let in', 'of the heir'])
  })

  it('are seen by no key, no log and no copy of the host', () => {
    const notes = createNotes<string>()
    const request = aRequest()
    const before = Reflect.ownKeys(request)
    notes.set(request, 'secret of the note')
    expect(Reflect.ownKeys(request)).toEqual(before)
    expect(inspect(request, { showHidden: true, depth: 9 })).not.toContain('secret of the note')
  })

  it('are kept with objects that take no further fields', () => {
    const notes = createNotes<string>()
    for (const seal of [Object.freeze, Object.seal, Object.preventExtensions]) {
      const object = seal({})
      notes.set(object, seal.name)
      expect(notes.get(object)).toBe(seal.name)
    }
    const late = {}
    notes.set(late, 'before')
    Object.freeze(late)
    notes.set(late, 'after')
    expect(notes.get(late)).toBe('after')
  })

  it('know nothing of values that are no objects, and refuse to keep anything with them', () => {
    const notes = createNotes<string>()
    for (const value of [undefined, null, 'text', 7, Symbol('x')]) {
      expect(notes.get(value as never)).toBeUndefined()
    }
    for (const value of [undefined, null, 'text', 7]) {
      expect(() => notes.set(value as never, 'x')).toThrow(TypeError)
    }
  })
})
