import { success } from '../flood/report.mjs'
import { peerRows } from '../http/report-peers.mjs'
import { guards } from '../revocation/guards.mjs'
import { estimate } from '../statistics.mjs'
import { counted, fine, short } from '../table.mjs'
import { acceptedNames, waitingNames } from '../ws/report-peers.mjs'

/**
 * @typedef {import('../suite.mjs').Result} Result
 * @typedef {import('./bars.mjs').Plot} Plot
 * @typedef {import('./bars.mjs').Bar} Bar
 */

const wholeNumber = (/** @type {number} */ value) => counted(Math.round(value))
/** Without the marks of code, which a picture does not show. */
const plain = (/** @type {string} */ text) => text.replaceAll('`', '')

/**
 * @param {string} label
 * @param {readonly number[] | undefined} values
 * @param {number} seed
 * @returns {Bar[]} None where there are no values
 */
function bar(label, values, seed) {
  if (values === undefined || values.length === 0) return []
  const { median, low, high } = estimate(values, seed)
  return [{ label: plain(label), value: median, low, high, own: /\bUpgate\b/.test(label) }]
}

/** The plots of each suite, by its name; those without values are left out. @type {Readonly<Record<string, (result: Result) => Plot[]>>} */
const plotsOf = {
  libraries: (result) => [
    {
      name: 'libraries',
      title: 'Authentication of one request',
      unit: 'CPU µs, more than the bare framework; logarithmic, less is better',
      logarithmic: true,
      format: short,
      bars: peerRows(result)
        .filter(({ bare }) => !bare)
        .flatMap(({ name, framework, credential, added }) => {
          const [only] = bar(`${name}: ${credential} (${framework})`, added, result.seed)
          // A logarithm shows no costs within the noise.
          return only === undefined || only.value <= 0.1 ? [] : [only]
        })
        .sort((a, b) => a.value - b.value),
    },
  ],
  ws: ({ samples, seed }) => [
    {
      name: 'handshakes',
      title: 'Handshakes with authentication',
      unit: 'a second on one core of the server; more is better',
      format: wholeNumber,
      bars: Object.entries(acceptedNames)
        .flatMap(([guard, [name, where]]) =>
          bar(`${name}: ${where}`, samples[`accepted ${guard}`]?.accepts, seed),
        )
        .sort((a, b) => b.value - a.value),
    },
    {
      name: 'unauthenticated',
      title: 'A socket without a credential',
      unit: 'bytes of heap; less is better',
      format: wholeNumber,
      bars: Object.entries(waitingNames)
        .flatMap(([guard, name]) => bar(name, samples[`waiting ${guard}`]?.heap, seed))
        .sort((a, b) => a.value - b.value),
    },
  ],
  revocation: ({ samples, seed }) => [
    {
      name: 'revocation',
      title: 'From the revocation to the close frame at the client',
      unit: 'milliseconds, one socket; less is better',
      format: fine,
      bars: Object.entries(guards).flatMap(([guard, name]) => bar(name, samples[guard]?.one, seed)),
    },
  ],
  flood: (result) => [
    {
      name: 'flood',
      title: 'New nodes that got in during a flood',
      unit: 'percent; more is better',
      format: wholeNumber,
      bars: [
        { id: 'gate nothing', label: 'Upgate, silent sockets' },
        { id: 'hand nothing', label: 'by hand, silent sockets' },
        { id: 'gate bad', label: 'Upgate, wrong tokens' },
        { id: 'hand bad', label: 'by hand, wrong tokens' },
      ].flatMap(({ id, label }) => {
        const { got, tried } = success(result, id, 'firstIn')
        if (tried === 0) return []
        const value = (100 * got) / tried
        return [{ label, value, own: label.startsWith('Upgate'), text: `${got} of ${tried}` }]
      }),
    },
  ],
}

/**
 * The plots of one suite.
 *
 * @param {Result} result
 * @returns {Plot[]}
 */
export function plotsFor(result) {
  return (plotsOf[result.suite]?.(result) ?? []).filter(({ bars }) => bars.length > 1)
}
