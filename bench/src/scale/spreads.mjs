/** How the addresses of clients are spread. @type {Readonly<Record<string, string>>} */
export const spreads = {
  each: 'an IPv4 address each',
  one: 'one address with all sockets',
  networks: 'an IPv6 /64 each, in one /48',
}
