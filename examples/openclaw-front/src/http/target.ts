/**
 * Whether the front and the gateway read a request target alike: a path that no server normalises to another one. The
 * gate decided the path as it is written, so the gateway has to get exactly that path.
 */
export function isPlainTarget(target: string): boolean {
  if (!target.startsWith('/') || target.startsWith('//')) return false
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not pass
  if (/[\u0000-\u0020\\#\u007f-\uffff]/.test(target)) return false
  const path = target.split('?', 1)[0] ?? ''
  if (/%(?:2f|5c|00|2e)/i.test(path) || path.includes('//')) return false
  return new URL(target, 'http://front.invalid').pathname === path
}
