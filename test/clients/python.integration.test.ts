// Needs Debian's python3-websockets.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'
import { behavesLikeANode } from './behaviours.ts'
import { programClient } from './client.ts'
import { needs } from './needs.ts'

// Not the first `python3` in PATH: a version manager's does not see the packages of the distribution.
const python = '/usr/bin/python3'
const found = spawnSync(python, ['-c', 'import websockets']).status === 0

describe.skipIf(!needs('python3-websockets', found, 'UPGATE_REQUIRE_PYTHON'))("Python's websockets", () => {
  const program = fileURLToPath(new URL('python-client.py', import.meta.url))
  behavesLikeANode((url) =>
    programClient(python, [program, url], (line, happenings) => {
      const { connected, message, code, reason } = JSON.parse(line)
      if (connected) happenings.connected.resolve()
      if (message !== undefined) happenings.message(message)
      if (code !== undefined) happenings.closed.resolve({ code, reason })
    }),
  )
})
