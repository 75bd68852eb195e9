import { createGate, fromRequest } from 'upgate'
import { answerQuestions } from '../answer.mjs'
import { host } from '../headers.mjs'
import { shapes } from './shapes.mjs'

/**
 * The construction of one gate in a fresh process, as at the start of an application.
 *
 * @param {{ shape: string, count: number }} question
 */
function construct({ shape, count }) {
  const ruleOf = shapes[shape]?.rule
  if (ruleOf === undefined) throw new Error(`no shape ${shape}`)
  const rules = Array.from({ length: count }, (_, i) => ruleOf(i))
  const schemes = [fromRequest(() => undefined, { name: 'none' })]
  const before = process.cpuUsage()
  const gate = createGate({ origins: [`https://${host}`], schemes, rules })
  const { user, system } = process.cpuUsage(before)
  if (gate.deferredPaths.length > 0) throw new Error('no rule is deferred')
  return { all: (user + system) / 1000, each: (user + system) / count }
}

answerQuestions(construct)
