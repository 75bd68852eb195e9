import { tooManyMarks, waysToFold } from './fold.ts'

/**
 * Every way in which a router or proxy might read a path that is not canonical, found at a bounded cost.
 *
 * A client chooses the path, and readings multiply: each transformation may apply to the result of any other. So
 * the work is counted in octets read or written, wherever they are, and a path that needs more than its share is
 * refused. Nothing here depends on the content of an octet for its cost: no regular expression, no list of segments.
 */

/** More readings than this is an attack, not a path. */
const maxReadings = 48
/** Octets looked at for one path: 24 times the longest path, and all 48 readings of one of 150 characters in ASCII. */
const maxSteps = 49_152
/** What the text of a reading for the rules costs, in octets looked at, for each of its octets; in ASCII alone, ... */
const asciiCost = 3
/** ... and with other characters, ... */
const otherCost = 6
/** ... for each octet of a segment with such characters, where no reading before it had the segment, ... */
const foldCost = 16
/** ... and for each such segment, wherever it comes from. */
const segmentCost = 128

/** Counts the octets that the analysis of one target looks at. */
export class Steps {
  taken = 0

  /** @returns whether the path has used up its share */
  take(octets: number): boolean {
    this.taken += octets
    return this.taken > maxSteps
  }
}

const slash = 0x2f
const dot = 0x2e
const percent = 0x25
const backslash = 0x5c
const semicolon = 0x3b
const question = 0x3f
const hash = 0x23
const blank = 0x20

/** The value of each hexadecimal digit; 255 for every other octet. */
const hexDigits: Uint8Array = new Uint8Array(256).fill(255)
for (let value = 0; value < 16; value++) {
  hexDigits[value.toString(16).charCodeAt(0)] = value
  hexDigits[value.toString(16).toUpperCase().charCodeAt(0)] = value
}

// What a reading holds, so that a transformation that would change nothing is left out.
const holdsEncoded = 1
const holdsBackslash = 2
const holdsSemicolon = 4
const holdsEnd = 8
const startsDoubled = 16
const holdsDoubled = 32
const holdsBlank = 64
const holdsDots = 128
const holdsOther = 256

/** A path as octets: all readings are ASCII, since other characters stay encoded. */
type Octets = Uint8Array

/** Writes what a transformation makes of the first `length` octets; returns how many it wrote. */
type Transformation = (from: Octets, length: number, to: Octets) => number

/** Each is something that a router, proxy or framework is known to do to a path before it routes, in this order. */
const transformations: readonly (readonly [needs: number, transform: Transformation])[] = [
  [holdsEncoded, decodeAsciiOnce],
  [holdsBackslash, turnBackslashes],
  [holdsSemicolon, dropParameters],
  [holdsEnd, cutAtEnd],
  [startsDoubled, dropAuthority],
  [holdsDoubled, mergeSlashes],
  // URL parsers and some file systems drop trailing blanks.
  [holdsBlank, dropBlanks],
  [holdsDots, resolveDots],
]

/**
 * Finds the texts under which rules compare the readings of a path.
 *
 * @param path - in ASCII, with valid percent-encoding
 * @returns the texts without duplicates; `undefined` where there are too many readings or they cost too much to find; a
 *   sentence where one is malformed
 */
export function readingsOf(path: string, steps: Steps): readonly string[] | string | undefined {
  const found = new Readings()
  const next = scratch(path.length + 1)
  for (let i = 0; i < path.length; i++) next[i] = path.charCodeAt(i)
  found.add(next, path.length)
  const keys = new Set<string>()
  const segments = new Segments(steps)
  for (let at = 0; at < found.all.length; at++) {
    const reading = found.all[at] as Octets
    const { length } = reading
    if (steps.take(length)) return undefined
    const holds = look(reading)
    for (const [needs, transform] of transformations) {
      if ((holds & needs) === 0) continue
      if (steps.take(length)) return undefined
      let written = transform(reading, length, next)
      if (written === 0 || next[0] !== slash) {
        next.copyWithin(1, 0, written)
        next[0] = slash
        written++
      }
      if (!found.add(next, written)) continue
      // Only decoding makes characters that were not there. After twice, they are as dangerous as plain ones.
      if (needs === holdsEncoded) {
        const fault = faultOf(next, written)
        if (fault !== undefined) return fault
      }
      if (found.all.length > maxReadings) return undefined
    }
    const isAscii = (holds & holdsOther) === 0
    if (steps.take((isAscii ? asciiCost : otherCost) * length)) return undefined
    if (isAscii) keys.add(foldAscii(reading, 0, length, next))
    else {
      const fault = segments.addKeys(reading, next, keys)
      if (fault !== undefined) return fault === 'too much' ? undefined : fault
    }
  }
  return [...keys]
}

/** Memory that can be read in words of four octets, too. */
function scratch(length: number): Octets {
  return new Uint8Array((length + 3) & ~3)
}

/** The readings found so far, in the order in which they were found. */
class Readings {
  readonly all: Octets[] = []
  readonly #hashes: number[] = []

  /**
   * Adds what was written into scratch memory.
   *
   * @returns false if the reading is known
   */
  add(written: Octets, length: number): boolean {
    written.fill(0, length, (length + 3) & ~3)
    const words = new Uint32Array(written.buffer, 0, (length + 3) >> 2)
    let hash = length
    for (let i = 0; i < words.length; i++) hash = (Math.imul(hash, 31) + (words[i] as number)) | 0
    for (let at = 0; at < this.all.length; at++) {
      if (this.#hashes[at] === hash && isSame(this.all[at] as Octets, written, length)) return false
    }
    this.#hashes.push(hash)
    this.all.push(written.slice(0, length))
    return true
  }
}

function isSame(known: Octets, octets: Octets, length: number): boolean {
  if (known.length !== length) return false
  for (let i = 0; i < length; i++) if (known[i] !== octets[i]) return false
  return true
}

/** Reads a path once, for all that decides on what is done with it. */
function look(path: Octets): number {
  const { length } = path
  let holds = path[0] === slash && path[1] === slash ? startsDoubled : 0
  for (let i = 0; i < length; i++) {
    const octet = path[i] as number
    if (octet > backslash) continue
    if (octet === slash) {
      const after = path[i + 1]
      if (after === slash) holds |= holdsDoubled
      else if (after === dot && endsDots(path, i + 1, length)) holds |= holdsDots
    } else if (octet === percent) {
      const high = hexDigits[path[i + 1] ?? 0] as number
      const low = hexDigits[path[i + 2] ?? 0] as number
      if (high < 16 && low < 16) holds |= high < 8 ? holdsEncoded : holdsOther
    } else if (octet === backslash) holds |= holdsBackslash
    else if (octet === semicolon) holds |= holdsSemicolon
    else if (octet === question || octet === hash) holds |= holdsEnd
    else if (octet === blank && (i + 1 === length || path[i + 1] === slash)) holds |= holdsBlank
  }
  return holds
}

/** Whether a segment that begins with a dot is `.` or `..`. */
function endsDots(path: Octets, at: number, length: number): boolean {
  const end = path[at + 1] === dot && at + 1 < length ? at + 2 : at + 1
  return end >= length || path[end] === slash
}

function decodeAsciiOnce(from: Octets, length: number, to: Octets): number {
  let n = 0
  for (let i = 0; i < length; i++) {
    const octet = from[i] as number
    if (octet === percent && i + 2 < length) {
      const high = hexDigits[from[i + 1] as number] as number
      const low = hexDigits[from[i + 2] as number] as number
      if (high < 8 && low < 16) {
        to[n++] = high * 16 + low
        i += 2
        continue
      }
    }
    to[n++] = octet
  }
  return n
}

function turnBackslashes(from: Octets, length: number, to: Octets): number {
  for (let i = 0; i < length; i++) to[i] = from[i] === backslash ? slash : (from[i] as number)
  return length
}

/** `/a;x=1/b` is `/a/b`. */
function dropParameters(from: Octets, length: number, to: Octets): number {
  let n = 0
  let inside = false
  for (let i = 0; i < length; i++) {
    const octet = from[i] as number
    if (octet === slash) inside = false
    else if (octet === semicolon) inside = true
    if (!inside) to[n++] = octet
  }
  return n
}

/** A query or a fragment ends the path. */
function cutAtEnd(from: Octets, length: number, to: Octets): number {
  let n = 0
  while (n < length && from[n] !== question && from[n] !== hash) {
    to[n] = from[n] as number
    n++
  }
  return n
}

/** `//host/a` is `/a`. */
function dropAuthority(from: Octets, length: number, to: Octets): number {
  let start = 0
  while (start < length && from[start] === slash) start++
  while (start < length && from[start] !== slash) start++
  for (let i = start; i < length; i++) to[i - start] = from[i] as number
  return length - start
}

function mergeSlashes(from: Octets, length: number, to: Octets): number {
  let n = 0
  for (let i = 0; i < length; i++) {
    const octet = from[i] as number
    if (octet !== slash || i === 0 || from[i - 1] !== slash) to[n++] = octet
  }
  return n
}

function dropBlanks(from: Octets, length: number, to: Octets): number {
  let n = 0
  for (let i = 0; i < length; i++) {
    const octet = from[i] as number
    if (octet === slash) while (n > 0 && to[n - 1] === blank) n--
    to[n++] = octet
  }
  while (n > 0 && to[n - 1] === blank) n--
  return n
}

/** Removes the dot segments; every segment is written behind its slash, and taken back up to it. */
function resolveDots(from: Octets, length: number, to: Octets): number {
  let n = 0
  for (let start = 0; start < length; ) {
    let end = start + 1
    while (end < length && from[end] !== slash) end++
    const size = end - start - 1
    const isOne = size === 1 && from[start + 1] === dot
    const isTwo = size === 2 && from[start + 1] === dot && from[start + 2] === dot
    if (isTwo) {
      while (n > 0 && to[n - 1] !== slash) n--
      if (n > 0) n--
    }
    if (isOne || isTwo) {
      if (end === length) to[n++] = slash
    } else for (let i = start; i < end; i++) to[n++] = from[i] as number
    start = end
  }
  return n
}

/** A control character that appeared, or octets that are no UTF-8. */
function faultOf(path: Octets, length: number): string | undefined {
  let high = false
  for (let i = 0; i < length; i++) {
    const octet = path[i] as number
    if (octet < 0x20 || octet === 0x7f) return 'The path contains an encoded control character.'
    if (octet === percent && (hexDigits[path[i + 1] ?? 0] as number) >= 8) high = true
  }
  if (high) {
    for (const run of textOf(path, 0, length).match(/(?:%[89a-fA-F][0-9a-fA-F])+/g) ?? []) {
      if (!isValidUtf8(run)) return 'The path is not valid UTF-8.'
    }
  }
  return undefined
}

/** Whether the octets behind a valid percent-encoding are UTF-8. */
export function isValidUtf8(path: string): boolean {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

/** Folds readings with characters outside ASCII: by segments, most of which one reading has from another. */
class Segments {
  readonly #steps: Steps
  readonly #known = new Map<string, readonly string[]>()

  constructor(steps: Steps) {
    this.#steps = steps
  }

  /** Adds what `foldsOf` says of a reading; answers where that cannot be said. */
  addKeys(reading: Octets, to: Octets, keys: Set<string>): string | undefined {
    const { length } = reading
    let texts: readonly string[] = ['', '', '', '']
    let written = 0
    for (let start = 0; start < length; ) {
      let end = start + 1
      let isAscii = true
      for (; end < length && reading[end] !== slash; end++) {
        const isEncoded = reading[end] === percent && end + 1 < length
        if (isEncoded && isHigh(hexDigits[reading[end + 1] as number] as number)) isAscii = false
      }
      if (!isAscii) {
        if (this.#steps.take(segmentCost)) return 'too much'
        const segment = textOf(reading, start + 1, end)
        const ways = this.#known.get(segment) ?? this.#fold(segment)
        if (typeof ways === 'string') return ways
        const before = foldAscii(reading, written, start + 1, to)
        texts = texts.map((text, way) => text + before + (ways[way] ?? ways[0]))
        written = end
      }
      start = end
    }
    const rest = foldAscii(reading, written, length, to)
    for (const text of texts) keys.add(text + rest)
    return undefined
  }

  #fold(segment: string): readonly string[] | string {
    if (this.#steps.take(foldCost * segment.length)) return 'too much'
    const ways = waysToFold(segment)
    if (ways === undefined) return tooManyMarks
    this.#known.set(segment, ways)
    return ways
  }
}

function isHigh(digit: number): boolean {
  return digit >= 8 && digit < 16
}

/** What `foldsOf` makes of ASCII: decoded apart from `%2F`, in lower case. */
function foldAscii(from: Octets, start: number, end: number, to: Octets): string {
  let n = 0
  for (let i = start; i < end; i++) {
    let octet = from[i] as number
    if (octet === percent && i + 2 < end) {
      const high = hexDigits[from[i + 1] as number] as number
      const low = hexDigits[from[i + 2] as number] as number
      if (high < 8 && low < 16 && high * 16 + low !== slash) {
        octet = high * 16 + low
        i += 2
      }
    }
    to[n++] = octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet
  }
  return textOf(to, 0, n)
}

function textOf(octets: Octets, start: number, end: number): string {
  return String.fromCharCode.apply(null, octets.subarray(start, end) as unknown as number[])
}
