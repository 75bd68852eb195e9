// Written in the oldest syntax on purpose: a Node that is too old must get as far as the sentence below.
var version = process.versions.node.split('.')
var major = Number(version[0])
var minor = Number(version[1])

if (major < 20 || (major === 20 && minor < 19)) {
  console.error('Upgate needs Node 20.19 or newer, and this is Node ' + process.versions.node + '.')
  process.exit(1)
}
