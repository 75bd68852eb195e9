// PostgreSQL and Redis answer as themselves, not merely as an open port.
import { connect } from 'node:net'

const postgres = new URL(process.env.UPGATE_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test')
const redis = new URL(process.env.UPGATE_REDIS_URL ?? 'redis://127.0.0.1:6379')

const results = await Promise.allSettled([
  // The SSLRequest message (PostgreSQL protocol, "SSL Session Encryption") is answered S or N.
  ask('PostgreSQL', postgres, 5432, Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]), /^[SN]/),
  ask('Redis', redis, 6379, Buffer.from('PING\r\n'), /^(\+PONG|-NOAUTH)/),
])
for (const result of results) {
  if (result.status === 'fulfilled') console.log(result.value)
  else {
    console.error(result.reason.message)
    process.exitCode = 1
  }
}

/**
 * @param {string} name
 * @param {URL} url
 * @param {number} defaultPort
 * @param {Buffer} question
 * @param {RegExp} expected
 * @returns {Promise<string>}
 */
function ask(name, { hostname, port }, defaultPort, question, expected) {
  const place = `${name} at ${hostname}:${port || defaultPort}`
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port || defaultPort), hostname, () => socket.write(question))
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer within 5 s')))
    socket.once('data', (data) => {
      socket.destroy()
      if (expected.test(data.toString('latin1'))) resolve(`${place} answers.`)
      else reject(new Error(`${place} does not answer as ${name} does.`))
    })
    socket.once('error', (error) => reject(new Error(`${place} is out of reach: ${error.message}`)))
    socket.once('close', () => reject(new Error(`${place} closed the connection without an answer.`)))
  })
}
