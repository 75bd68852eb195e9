/**
 * The decided cases and the method of the floor for each, in the order of the page.
 *
 * @type {Readonly<Record<string, { name: string, floorName: string }>>}
 */
export const names = {
  'exact-reused': { name: 'exact public path, same request again', floorName: 'Map.get' },
  exact: { name: 'exact public path', floorName: 'Map.get' },
  prefix: { name: 'public prefix', floorName: 'startsWith, no `..`' },
  key: { name: 'API key, Bearer', floorName: 'sha256 + Map' },
  session: { name: 'session cookie among five', floorName: 'indexOf, sha256 + Map' },
  device: { name: 'device token, Bearer', floorName: 'sha256 + Map' },
  none: { name: 'no match, no credential: 401', floorName: 'Map.get, no header' },
  hostile: {
    name: 'hostile target: 400 or the strictest rule',
    floorName: 'decodeURIComponent + posix.normalize',
  },
  'hostile-2048': {
    name: 'hostile target of 2 KiB, the worst found: 400',
    floorName: 'decodeURIComponent + posix.normalize',
  },
  'prefix-10000': { name: 'public prefix, 10,000 rules', floorName: 'the same gate with 10 rules' },
  'key-10000': { name: 'API key, 10,000 rules', floorName: 'the same gate with 10 rules' },
}
