#!/usr/bin/env node
// Installs and builds what is missing or stale, then becomes the example gateway. See scripts/lib/start.mjs.
import './lib/node-version.mjs'

import('./lib/start.mjs').then((start) => start.main())
