/**
 * Answers the questions of the process that started this one, one at a time; ends with it.
 *
 * @param {(question: any) => unknown} reply
 */
export function answerQuestions(reply) {
  // The parent process may have ended: the answer then goes nowhere, without an error.
  const send = (/** @type {object} */ answer) => process.send?.(answer, undefined, undefined, () => {})
  process.on('message', async (question) => {
    try {
      send((await reply(question)) ?? {})
    } catch (error) {
      send({ error: error instanceof Error ? error.stack : String(error) })
    }
  })
  process.once('disconnect', () => process.exit())
  // An interrupt on the terminal reaches the whole group: the parent process decides.
  process.on('SIGINT', () => {})
}
