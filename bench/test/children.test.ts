import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test, vi } from 'vitest'
import { start, takeDeaths } from '../src/children.mjs'

const program = new URL('programs/child.mjs', import.meta.url)
let child: ReturnType<typeof start> | undefined

afterEach(async () => {
  await child?.stop()
  child = undefined
  takeDeaths()
})

test('answers, and fails with the thrown error', async () => {
  child = start(program)
  expect(await child.ask({})).toEqual({ pid: expect.any(Number) })
  await expect(child.ask({ what: 'throw' })).rejects.toThrow('thrown on purpose')
  expect(await child.ask({})).toEqual({ pid: expect.any(Number) })
})

test('names how a child ended, its question and its last output', async () => {
  child = start(program, ['with', 'arguments'])
  await expect(child.ask({ what: 'exit' })).rejects.toThrow(
    /child\.mjs with arguments \(pid \d+\) ended with exit code 7, asked: \{"what":"exit"\}\. its last words/,
  )
})

test('a child that ended between questions fails the next question', async () => {
  child = start(program)
  await child.ask({ what: 'exit-later' })
  await vi.waitUntil(() => takeDeaths().length > 0, 20_000)
  await expect(child.ask({})).rejects.toThrow('ended with exit code 7')
})

test('names the signal, and remembers the death for later questions', async () => {
  child = start(program)
  const { pid } = await child.ask({})
  const answer = expect(child.ask({ what: 'hang' })).rejects.toThrow(
    'ended with signal SIGKILL, asked: {"what":"hang"}. Nobody here did that',
  )
  process.kill(pid, 'SIGKILL')
  await answer
  expect(takeDeaths()).toEqual([expect.stringContaining('signal SIGKILL')])
  expect(takeDeaths()).toEqual([])
})

test('stops waiting after a time limit', async () => {
  child = start(program)
  await child.ask({})
  await expect(child.ask({ what: 'hang' }, 50)).rejects.toThrow('no answer in 0.05 s to {"what":"hang"}')
})

test('a child that was stopped is no death', async () => {
  child = start(program)
  await child.ask({})
  await child.stop()
  expect(takeDeaths()).toEqual([])
})

function run(...args: string[]) {
  const child = spawn(process.execPath, [
    fileURLToPath(new URL('programs/run.mjs', import.meta.url)),
    ...args,
  ])
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text))
  return { child, closed: once(child, 'close'), said: () => said }
}

test('a run that waits for what never comes fails, and says so', async () => {
  const { closed, said } = run('hang')
  expect(await closed).toEqual([1, null])
  expect(said()).toContain('The run ended before it was finished.')
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s ends the children, then the run, with a word', async (signal, code) => {
  const { child, closed, said } = run()
  const pid = Number((await once(child.stdout, 'data'))[0])
  child.kill(signal)
  expect(await closed).toEqual([code, null])
  expect(said()).toContain(`${signal}: ending.`)
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})
