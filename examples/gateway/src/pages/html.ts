/** Markup that is safe to send as it is. Made by {@link html} alone. */
export class Html {
  readonly #markup: string
  constructor(markup: string) {
    this.#markup = markup
  }
  toString(): string {
    return this.#markup
  }
}

/** A value in a template: markup is inserted unchanged, text is escaped, `false` and `undefined` are left out. */
export type Slot = Html | string | number | false | undefined | readonly Slot[]

/**
 * Builds markup from a template; every value is escaped unless it is markup already.
 *
 * @example
 * html`<p>${name}</p>`
 */
export function html(strings: TemplateStringsArray, ...slots: readonly Slot[]): Html {
  let markup = strings[0] ?? ''
  slots.forEach((slot, index) => {
    markup += render(slot) + (strings[index + 1] ?? '')
  })
  return new Html(markup)
}

/** Escapes text for element content and quoted attribute values. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`)
}

function render(slot: Slot): string {
  if (slot instanceof Html) return slot.toString()
  if (slot === undefined || slot === false) return ''
  if (typeof slot === 'object') return slot.map(render).join('')
  return escapeHtml(String(slot))
}
