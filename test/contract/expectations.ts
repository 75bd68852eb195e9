import { expect } from 'vitest'
import { type Answer, marker } from './stage.ts'

/** Waits, one turn of the event loop at a time, until a condition holds. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** Expects a refusal over HTTP, with all its headers. */
export function expectRefusal(answer: Answer, status: number, code: string): void {
  expect([answer.status, answer.headers[marker]]).toEqual([status, `${code}; gate="upgate"`])
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.headers['content-type']).toBe('application/problem+json')
  const problem = JSON.parse(answer.text)
  expect(problem).toMatchObject({ status, code })
  expect(problem.detail).toMatch(/\.$/)
  expect(problem.action).toMatch(/\.$/)
}

/** Expects a refused upgrade, as it came over the wire. */
export function expectUpgradeRefusal(answer: string, status: number, code: string): void {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  expect(head.split(' ', 2)[1]).toBe(String(status))
  expect(head).toMatch(new RegExp(`\r\nUpgate-Refusal: ${code}; gate="upgate"`))
  expect(head).toMatch(/\r\nCache-Control: no-store/)
  expect(head).toMatch(/\r\nConnection: close/)
  const length = /\r\nContent-Length: (\d+)/.exec(head)?.[1]
  expect(length).toBe(String(Buffer.byteLength(body, 'latin1')))
  expect(JSON.parse(body)).toMatchObject({ status, code })
}
