/**
 * How much is measured: everything, roughly, or only that it runs.
 *
 * @typedef {'full' | 'quick' | 'check'} Mode
 */

/**
 * One value of each measure: what one process, or a pair of them, was found to do in one round.
 *
 * @typedef {{ id: string, values: Record<string, number> }} Sample
 */

/**
 * What a round is given. Its random numbers are its own, so that a run can go on where another one stopped.
 *
 * @typedef {object} Round
 * @property {number} round From 0
 * @property {number} seed
 * @property {() => number} random
 * @property {Mode} mode
 * @property {any} settings As the suite's `settings` said
 * @property {any} state What the suite's `prepare` made
 * @property {(text: string) => void} say
 */

/**
 * Values by measure, of all whole rounds in order; the same index is the same round.
 *
 * @typedef {Record<string, Record<string, number[]>>} Samples
 */

/**
 * What a suite found: all that is needed to write its part of the page.
 *
 * @typedef {object} Result
 * @property {string} suite
 * @property {string} started In ISO 8601
 * @property {Mode} mode
 * @property {number} seed
 * @property {import('./machine.mjs').Conditions} conditions
 * @property {any} settings
 * @property {number} planned Rounds that were asked for
 * @property {number} rounds Whole rounds that were measured
 * @property {number} seconds
 * @property {number} repeated Rounds that failed and were measured again
 * @property {Samples} samples
 */

/**
 * What can be measured by itself.
 *
 * @typedef {object} Suite
 * @property {string} name
 * @property {number} rounds Of a full run, if its time lasts
 * @property {number} share Of the time of a run, in relation to those of the other suites
 * @property {boolean} [comparesPeers] Whether it measures the libraries of `bench/peers`
 * @property {(mode: Mode, available: { peers: boolean }) => any} settings Counts and times, as plain data: the page states them; `false` if it cannot be measured
 * @property {(settings: any) => { files?: number, memory?: number }} [needs] Open files of one process; bytes of memory
 * @property {(round: Omit<Round, 'round' | 'random' | 'state'>) => Promise<{ state: unknown, dispose(): Promise<void> | void }>} [prepare] What all rounds use
 * @property {(round: Round) => AsyncIterable<Sample>} measure One round: every sample as soon as it is there
 * @property {(result: Result) => string} report In Markdown, from a heading of the second level on
 */

export {}
