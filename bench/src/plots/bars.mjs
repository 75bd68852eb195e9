/**
 * One bar of a plot.
 *
 * @typedef {object} Bar
 * @property {string} label
 * @property {number} value
 * @property {number} [low] Lower end of its interval
 * @property {number} [high]
 * @property {boolean} [own] Upgate's: in the colour that stands out
 * @property {string} [text] Its value in words, if not the number alone
 */

/**
 * @typedef {object} Plot
 * @property {string} name Of the file, without its ending
 * @property {string} title
 * @property {string} unit What the axis counts, and which end is the good one
 * @property {boolean} [logarithmic]
 * @property {(value: number) => string} format
 * @property {readonly Bar[]} bars
 */

const barsWidth = 400
const valueWidth = 90
/** Pixels that a character takes at most, on average: where text cannot be measured, it must not be cut off. */
const characterWidth = 7
const rowHeight = 26
const top = 62

/** Readable on both grounds, which the picture brings along: a page may be dark where the system is light. */
const style = `
  .ground { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #59636e } .axis { stroke: #d1d9e0 }
  .bar { fill: #9aa7b4 } .own { fill: #0a69da } .interval { stroke: #1f2328 }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
  .title { font-size: 15px; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .text { fill: #f0f6fc } .faint { fill: #9198a1 } .axis { stroke: #3d444d }
    .bar { fill: #59636e } .own { fill: #4493f8 } .interval { stroke: #f0f6fc }
  }`

/** @param {string} text */
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

/**
 * Draws horizontal bars with their intervals, for light and dark pages.
 *
 * @param {Plot} plot
 * @returns {string} SVG
 */
export function drawBars({ title, unit, logarithmic = false, format, bars }) {
  const height = top + bars.length * rowHeight + 30
  const labelWidth = 24 + characterWidth * Math.max(...bars.map(({ label }) => label.length))
  const width = labelWidth + barsWidth + valueWidth
  const scale = scaleOf(bars, logarithmic)
  const bottom = top + bars.length * rowHeight
  const lines = scale.ticks.map((tick) => {
    const x = round(labelWidth + scale.at(tick))
    return `<path class="axis" d="M${x} ${top - 4}V${bottom}"/><text class="faint" x="${x}" y="${bottom + 18}" text-anchor="middle">${tick.toLocaleString('en')}</text>`
  })
  const rows = bars.map((bar, i) => drawBar(bar, labelWidth, top + i * rowHeight, scale, format))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>${style}
</style>
<rect class="ground" width="${width}" height="${height}" rx="6"/>
<text class="text title" x="14" y="26">${escaped(title)}</text>
<text class="faint" x="14" y="45">${escaped(unit)}</text>
${[...lines, ...rows].join('\n')}
</svg>
`
}

/**
 * @param {Bar} bar
 * @param {number} labelWidth
 * @param {number} y
 * @param {ReturnType<typeof scaleOf>} scale
 * @param {(value: number) => string} format
 */
function drawBar({ label, value, low, high, own = false, text }, labelWidth, y, scale, format) {
  const middle = y + rowHeight / 2
  const length = Math.max(1, scale.at(value))
  const interval =
    low === undefined || high === undefined
      ? ''
      : `<path class="interval" d="M${round(labelWidth + scale.at(low))} ${middle}H${round(labelWidth + scale.at(high))}"/>`
  const end = labelWidth + Math.max(length, scale.at(high ?? value)) + 7
  return `<text class="text" x="${labelWidth - 10}" y="${middle + 4}" text-anchor="end"${own ? ' font-weight="600"' : ''}>${escaped(label)}</text><rect class="${own ? 'own' : 'bar'}" x="${labelWidth}" y="${y + 4}" width="${round(length)}" height="${rowHeight - 8}" rx="2"/>${interval}<text class="text" x="${round(end)}" y="${middle + 4}">${escaped(text ?? format(value))}</text>`
}

/**
 * @param {readonly Bar[]} bars
 * @param {boolean} logarithmic
 */
function scaleOf(bars, logarithmic) {
  const most = Math.max(...bars.map(({ value, high = value }) => high))
  if (logarithmic) {
    const least = Math.min(...bars.map(({ value }) => value).filter((value) => value > 0))
    const from = Math.floor(Math.log10(least))
    const to = Math.log10(most)
    const at = (/** @type {number} */ value) =>
      (barsWidth * Math.max(0, Math.log10(Math.max(value, 10 ** from)) - from)) / (to - from)
    const ticks = Array.from({ length: Math.floor(to) - from + 1 }, (_, i) => 10 ** (from + i))
    return { at, ticks }
  }
  const at = (/** @type {number} */ value) => (barsWidth * Math.max(0, value)) / most
  const step = niceStep(most / 4)
  return { at, ticks: Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step) }
}

/** The next of 1, 2 and 5 times a power of ten. @param {number} rough */
function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough))
  return power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10)
}

/** @param {number} value */
const round = (value) => Number(value.toFixed(1))
