/** The longest text that is looked at, in characters. What a hostile server sends beyond that is never read. */
const longest = 4096

/** Stands where a secret was. */
const removed = '[removed]'

/** Texts that may be secrets by their form. The values themselves are not known here. */
const secretForms: readonly (readonly [RegExp, string])[] = [
  // User information, queries and fragments of URLs; queries of paths. Redirects carry signed states there.
  [/\/\/[^\s/@?#]{1,512}@/g, '//'],
  [/([/\w%.:~-])[?#](?=[^\s"']*[=%])[^\s"'<>]+/g, '$1?...'],
  [
    /\b(Bearer|Basic|Digest|Negotiate|Token(?=\s+[\w.~+/-]*\d))\s+[\w.~+/-]{8,}=*(?=[\s,;]|$)/gi,
    `$1 ${removed}`,
  ],
  [
    /(token|secret|password|passwd|api[-_]?key|ticket|authorization|cookie|session(?:[-_]?id)?)(["']?\s*[=:]\s*["']?)[^\s"',;&}]{4,}/gi,
    `$1$2${removed}`,
  ],
  // JSON Web Tokens; tokens with a prefix, ours included; long digests, keys and their base64 forms.
  [/\beyJ[\w-]{8,}(?:\.[\w-]*){0,4}/g, removed],
  [/\b(?:ug[a-z]|mk|mdt|cfast|sk|pk|gh[a-z]|xox[a-z])[_-][\w-]{8,}/g, removed],
  [/[\da-f]{32,}(?:\.access)?/gi, removed],
  [/(?=[\w+-]*\d)(?=[\w+-]*[a-z])[\w+-]{32,}={0,2}/gi, removed],
]

/**
 * Makes a text from the network safe: without secrets by their form, control characters and characters that begin HTML,
 * and at most `most` characters long. White space becomes single spaces.
 *
 * @param most At most so many characters; the default is 200
 */
export function clean(text: unknown, most = 200): string {
  if (typeof text !== 'string') return typeof text === 'number' ? String(text) : ''
  // A word at the cut may be half a secret, which no form matches any more.
  const read = text.length > longest ? text.slice(0, longest).replace(/[^\s]{1,512}$/, '') : text
  const safe = neutral(withoutForms(visible(read)))
  const characters = [...safe]
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : safe
}

/** Without what would control a terminal or change the order of reading, and with single spaces. */
function visible(text: string): string {
  return text
    .replace(/[\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu, '')
    .replace(/[\p{Cc}\p{Z}]+/gu, ' ')
    .trim()
}

function withoutForms(text: string): string {
  return secretForms.reduce((rest, [form, instead]) => rest.replace(form, instead), text)
}

const lookalikes: Readonly<Record<string, string>> = { '<': '‹', '>': '›', '"': '”', "'": '’', '`': 'ˋ' }

/** Without the characters that begin or end a tag, an attribute or a code span. */
function neutral(text: string): string {
  return text.replace(/[<>"'`]/g, (character) => lookalikes[character] ?? '')
}
