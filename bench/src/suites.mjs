import { access } from './access/suite.mjs'
import { decide } from './decide/suite.mjs'
import { flood } from './flood/suite.mjs'
import { http, libraries } from './http/suite.mjs'
import { revocation } from './revocation/suite.mjs'
import { scale } from './scale/suite.mjs'
import { stores } from './stores/suite.mjs'
import { ws } from './ws/suite.mjs'

/** What can be measured, in the order of the page. @type {readonly import('./suite.mjs').Suite[]} */
export const suites = [decide, access, http, libraries, ws, revocation, flood, stores, scale]
