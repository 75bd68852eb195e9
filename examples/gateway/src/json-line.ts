/**
 * Writes an object as one line of JSON that is safe in a terminal.
 *
 * JSON does not escape some control characters, nor those that change the direction of text; a terminal obeys them.
 */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
