// Loaded before the gateway with `--import`, if a test is not about passwords. Each hash costs a third of a
// second of a core, and a gateway that starts and lets one person log in makes three. The program itself has
// no such setting.
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

const { scrypt } = crypto

/** @type {(...args: any[]) => void} */
const cheap = (password, salt, length, _cost, done) =>
  scrypt(password, salt, length, { N: 1024, r: 8, p: 1 }, done)
Object.assign(crypto, { scrypt: cheap })
syncBuiltinESMExports()
