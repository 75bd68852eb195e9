import { join } from 'node:path'
import { createServices } from 'upgate'
import { sqliteStore } from 'upgate/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from './program.ts'
import { loggedIn, type Visitor } from './visitor.ts'

/* A gateway with more keys and devices than fit on a page. */

let data: DataDir
let program: Program
let ada: Visitor
const count = 230
beforeAll(async () => {
  data = temporaryDataDir()
  const store = await sqliteStore({ file: join(data.path, 'gateway.db') })
  const services = createServices({ store })
  const records = (roles: string[]) =>
    Array.from({ length: count }, (_, n) => ({
      ...{ id: `${n}`.padStart(12, '0'), digest: 'd'.repeat(43), name: `number ${n}.`, scopes: [], roles },
      createdAt: 1_767_225_600_000,
    }))
  await services.keys.import(records([]))
  await services.devices.import(records(['node']))
  await services.close()
  await store.close()
  program = await startProgram({ dataDir: data.path })
  ada = await loggedIn(program.origin)
})
afterAll(async () => {
  await endAll()
  data.remove()
})

/** Follows the links of a page to its end; the names in its table, page by page. */
async function read(path: string): Promise<string[][]> {
  const pages: string[][] = []
  for (let link: string | undefined = path; link !== undefined; ) {
    const { status, text: body } = await ada.get(link)
    expect(status).toBe(200)
    pages.push([...body.matchAll(/data-f="name">(number \d+\.)</g)].map(([, name]) => name as string))
    const next: string | undefined = /<a rel="next" href="(\?after=[^"]+)"/.exec(body)?.[1]
    link = next === undefined ? undefined : path + next
    expect(body.includes('<a href="?">First ')).toBe(pages.length > 1)
  }
  return pages
}

describe('long lists', () => {
  it.each(['/keys', '/nodes'])('%s shows a hundred at a time, each on one page', async (path) => {
    const pages = await read(path)
    expect(pages.map(({ length }) => length)).toEqual([100, 100, 30])
    expect(pages.flat()).toEqual(Array.from({ length: count }, (_, n) => `number ${n}.`))
  })

  it.each(['keys', 'devices'] as const)('/api/%s answers where the next part begins', async (name) => {
    const first = (await ada.get(`/api/${name}`)).json()
    expect(first[name]).toHaveLength(100)
    const second = (await ada.get(`/api/${name}?after=${first.next}`)).json()
    expect((second[name] as { name: string }[])[0]?.name).toBe('number 100.')
    const last = (await ada.get(`/api/${name}?after=${second.next}`)).json()
    expect(last[name]).toHaveLength(30)
    expect(last).not.toHaveProperty('next')
  })

  it.each([
    ['another text', 'after=%3Cscript%3E', 0],
    ['nothing', 'after=', 0],
    ['two of them', 'after=1&after=2', 100],
    ['a very long one', `after=${'9'.repeat(500)}`, 100],
    ['an object', 'after[x]=1', 100],
  ])('a cursor that is %s harms nothing', async (_, query, length) => {
    const answer = await ada.get(`/api/keys?${query}`)
    expect(answer.status).toBe(200)
    expect(answer.json().keys).toHaveLength(length)
    const page = await ada.get(`/keys?${query}`)
    expect(page.status).toBe(200)
    expect(page.text).not.toContain('<script>')
  })

  it('a list that fits has no links', async () => {
    expect((await ada.get('/users')).text).not.toContain('Parts of the list')
  })
})
