import type { IncomingMessage } from 'node:http'

/** So much of a body is kept, in characters. */
const keptBody = 16_384
/** For a body, in milliseconds: a hostile one may have no end. */
const bodyTime = 2000

/** The beginning of a body, within a time. */
export function readBody(response: IncomingMessage, most: number = keptBody): Promise<string> {
  return new Promise((resolve) => {
    let body = ''
    const done = (): void => {
      clearTimeout(timer)
      response.destroy()
      resolve(body)
    }
    const timer = setTimeout(done, bodyTime)
    response.setEncoding('utf8')
    response.on('data', (part: string) => {
      body += part.slice(0, most - body.length)
      if (body.length >= most) done()
    })
    response.on('end', done)
    response.on('error', done)
    response.on('close', done)
  })
}
