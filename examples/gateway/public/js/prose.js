/**
 * Shows a text that marks code with backticks, as nodes: nothing in it is markup.
 *
 * @param {HTMLElement} place
 * @param {string} text
 */
export function setProse(place, text) {
  place.replaceChildren(
    ...text.split('`').map((part, index) => {
      if (index % 2 === 0) return part
      const code = document.createElement('code')
      code.textContent = part
      return code
    }),
  )
}
