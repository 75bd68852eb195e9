#!/usr/bin/env node
// Installs and builds missing or stale parts, then becomes the example gateway. See scripts/lib/start.mjs.
import './lib/node-version.mjs'

import('./lib/start.mjs').then((start) => start.main())
