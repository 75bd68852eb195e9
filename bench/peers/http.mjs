import { answerQuestions } from '../src/answer.mjs'

// A server of one framework, with one library that authenticates. It says where it is and which headers get in.
const [framework = '', guard = ''] = process.argv.slice(2)
const { createServers } = await import(`./http/${framework}.mjs`)
const create = createServers[guard]
if (create === undefined) throw new Error(`${framework} has no ${guard}`)
const { server, headers } = await create()
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))

answerQuestions(({ what }) => {
  if (what === 'where') return { port: server.address().port, headers }
  return process.cpuUsage()
})
