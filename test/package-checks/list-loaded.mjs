/* Imports an entry, calls a function of it where one is named, and prints the files that this loads:
   `node list-loaded.mjs upgate/ws`. The debugger reports each of them, on every version of Node. */
import { once } from 'node:events'
import { Session } from 'node:inspector'
import { fileURLToPath } from 'node:url'

const files = new Set()
const session = new Session()
session.connect()
session.on('Debugger.scriptParsed', ({ params: { url } }) => {
  if (url.startsWith('file:')) files.add(fileURLToPath(url))
  else if (url.startsWith('/')) files.add(url)
})
session.post('Debugger.enable')
files.clear()
const [, , entry, name, options] = process.argv
const module = await import(entry)
if (name !== undefined) {
  module[name](JSON.parse(options))
  // What that begins to load is there by the end of the process.
  await once(process, 'beforeExit')
}
session.disconnect()
console.log(JSON.stringify([...files]))
