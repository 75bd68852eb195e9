/** Frames kept for the diagnosis, and characters of each: a server may send without end. */
const most = 16
const longest = 16_384

/** The last text frames of a server, for the diagnosis. */
export interface KeptFrames {
  readonly frames: readonly string[]
  keep(text: string): void
  clear(): void
}

/** Creates an empty list. */
export function createKeptFrames(): KeptFrames {
  const frames: string[] = []
  return {
    frames,
    keep(text) {
      frames.push(text.slice(0, longest))
      if (frames.length > most) frames.shift()
    },
    clear() {
      frames.length = 0
    },
  }
}

/** The facts that a person compares while a pairing waits for approval. */
export interface PairingFacts {
  readonly comparisonCode: string | undefined
  readonly requestId: string | undefined
}

/** The facts of the last refusal that waits for a pairing; both checked, because they are shown to people. */
export function pairingIn(frames: readonly string[]): PairingFacts | undefined {
  for (const frame of frames.toReversed()) {
    if (!frame.includes('pairing_required') && !frame.includes('PAIRING_REQUIRED')) continue
    const code = /"comparisonCode":"([A-Za-z\d][A-Za-z\d -]{2,15})"/.exec(frame)?.[1]
    const id = /"requestId":"([A-Za-z\d][\w.:-]{0,127})"/.exec(frame)?.[1]
    return { comparisonCode: code, requestId: id }
  }
  return undefined
}
