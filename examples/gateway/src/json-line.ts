/**
 * Writes an object as one line of JSON that can be shown in a terminal.
 *
 * JSON leaves some control characters as they are, and all that turn the direction of text; a terminal would obey them.
 */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
