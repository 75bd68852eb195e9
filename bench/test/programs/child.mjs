import { answerQuestions } from '../../src/answer.mjs'

// Answers its parent; most questions make something go wrong.
answerQuestions(({ what }) => {
  switch (what) {
    case 'throw':
      throw new Error('thrown on purpose')
    case 'exit':
      console.error('its last words')
      return process.exit(7)
    case 'exit-later':
      setImmediate(() => process.exit(7))
      return {}
    case 'hang':
      return new Promise(() => {})
    default:
      return { pid: process.pid }
  }
})
