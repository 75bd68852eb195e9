#!/usr/bin/env node
// Installs and builds missing or stale parts, then checks and tests. See scripts/lib/test.mjs.
import './lib/node-version.mjs'

import('./lib/test.mjs').then((test) => test.main())
