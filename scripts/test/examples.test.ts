import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readDiagnostics, readPrograms } from '../lib/examples.mjs'
import { root } from '../lib/paths.mjs'

const read = (...lines: string[]) => readPrograms('guide.md', lines.join('\n'))
const sources = (...lines: string[]) => {
  const { programs, problems } = read(...lines)
  expect(problems).toEqual([])
  return programs.map(({ source }) => source)
}

describe('the programs of a Markdown file', () => {
  it('are its blocks of JavaScript and TypeScript, each line where the file has it', () => {
    const [first, second, ...rest] = read(
      '# Title',
      '```js',
      'one()',
      '```',
      '',
      '~~~~ts',
      '```',
      '~~~~',
    ).programs
    expect([first, second]).toEqual([
      { file: 'guide.md', line: 2, lines: [2], source: '\n\none()\n' },
      { file: 'guide.md', line: 6, lines: [6], source: '\n\n\n\n\n\n```\n' },
    ])
    expect(rest).toEqual([])
  })

  it('are not blocks of other languages', () => {
    expect(sources('```sh', 'npm test', '```', '```json', '{}', '```', '```', 'as it is', '```')).toEqual([])
  })

  it('go on in a block that says so', () => {
    const lines = [
      '```js',
      'one()',
      '```',
      'text',
      '<!-- example: continues -->',
      '',
      '```ts',
      'two()',
      '```',
    ]
    expect(sources(...lines)).toEqual(['\none()\n\n\n\n\n\ntwo()\n'])
    expect(read(...lines).programs[0]?.lines).toEqual([1, 7])
  })

  it('may have a beginning that is not shown', () => {
    expect(sources('<!-- example', 'const a = 1', '-->', '', '```js', 'use(a)', '```')).toEqual([
      '\nconst a = 1\n\n\n\nuse(a)\n',
    ])
    const both = [
      '```js',
      'one()',
      '```',
      '<!-- example: continues',
      'const a = 1',
      '-->',
      '```js',
      'use(a)',
      '```',
    ]
    expect(sources(...both)).toEqual(['\none()\n\n\nconst a = 1\n\n\nuse(a)\n'])
  })

  it('may be indented, in a list', () => {
    expect(sources('- item', '', '  ```js', '  if (a) {', '    b()', '  }', '  ```')).toEqual([
      '\n\n\nif (a) {\n  b()\n}\n',
    ])
  })

  it.each([
    [['```jss', '```'], '1: the language jss is neither compiled nor known as no program.'],
    [['```js', 'one()'], '1: this block has no end.'],
    [['<!-- example: continues -->', '```js', '```'], '2: there is no block before this one.'],
    [['<!-- example: continues -->', 'text', '```js', '```'], '1: no block follows this comment.'],
    [['<!-- example: continues -->'], '1: no block follows this comment.'],
    [['<!-- example: continues -->', '```sh', '```'], '1: the block below is sh, which is not compiled.'],
    [
      ['<!-- example: skip -->', '```js', '```'],
      '1: "example: skip" says nothing: write "example: continues", or code below "example".',
    ],
    [
      ['<!-- example -->', '```js', '```'],
      '1: "example" says nothing: write "example: continues", or code below "example".',
    ],
    [
      ['<!-- example', 'const a = 1', '```js', '```'],
      '1: this comment has no end: a line with nothing but -->.',
    ],
  ])('refuse %j', (lines, problem) => {
    expect(read(...lines).problems).toEqual([`guide.md:${problem}`])
  })
})

it('reads what compilers say, about files and about none', () => {
  const output = [
    "a+b.3.ts(7,2): error TS2322: Type 'x' is not assignable.",
    "  Type 'y' neither.",
    "error TS5023: Unknown compiler option 'x'.",
    '',
  ].join('\n')
  expect(readDiagnostics(output)).toEqual([
    {
      file: 'a+b.3.ts',
      line: 7,
      column: 2,
      code: 'TS2322',
      message: "Type 'x' is not assignable. Type 'y' neither.",
    },
    { file: '', line: 0, column: 0, code: 'TS5023', message: "Unknown compiler option 'x'." },
  ])
})

describe('the check', () => {
  let folder: string
  beforeAll(() => {
    const cache = join(root, 'node_modules', '.cache')
    mkdirSync(cache, { recursive: true })
    folder = mkdtempSync(join(cache, 'examples-test-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('names file, line and column of what does not compile, in both compilers', () => {
    const file = join(folder, 'bad.md')
    writeFileSync(
      file,
      ['# Bad', '', '```js', 'const fine = 1', 'const wrong = (value) => value + fine', '```', ''].join('\n'),
    )
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(root, 'scripts', 'checks', 'examples.mjs'), relative(root, file)],
      { encoding: 'utf8' },
    )
    const said = `${relative(root, file)}:5:16: TS7006: Parameter 'value' implicitly has an 'any' type.`
    expect(stderr.trim().split('\n')).toEqual([`${said} (typescript)`, `${said} (typescript-5)`])
    expect(status).toBe(1)
  })
})
