#!/usr/bin/env node
// Installs and builds what is missing or stale, then checks and tests. See scripts/lib/test.mjs.
import './lib/node-version.mjs'

import('./lib/test.mjs').then((test) => test.main())
