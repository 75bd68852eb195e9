import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { describe } from 'vitest'
import { behavesLikeANode } from './behaviours.ts'
import { programClient } from './client.ts'

const wscat = join(dirname(createRequire(import.meta.url).resolve('wscat/package.json')), 'bin', 'wscat')
// It says that it is connected, and why it was closed, to a terminal only; this makes it believe in one.
const terminal = 'data:text/javascript,import tty from "node:tty"; tty.isatty = () => true'

describe('wscat', () => {
  behavesLikeANode((url) =>
    programClient(
      process.execPath,
      ['--import', terminal, wscat, '--no-color', '--connect', url],
      (line, happenings) => {
        // It redraws its prompt around every line.
        const text = stripVTControlCharacters(line)
          .replace(/^(?:\r|> )+/, '')
          .trimEnd()
        if (text.startsWith('Connected')) happenings.connected.resolve()
        if (text.startsWith('< ')) happenings.message(text.slice(2))
        const closed = /^Disconnected \(code: (\d+), reason: "(.*)"\)$/.exec(text)
        if (closed) happenings.closed.resolve({ code: Number(closed[1]), reason: closed[2] ?? '' })
      },
    ),
  )
})
