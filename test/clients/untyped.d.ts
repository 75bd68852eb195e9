/** The client of Phoenix has no types of its own. */
declare module 'phoenix' {
  interface Push {
    receive(status: string, callback: (response: { readonly reason: string }) => void): Push
  }
  interface Channel {
    join(): Push
    push(event: string, payload: object): Push
  }
  export class Socket {
    constructor(url: string, options: object)
    connect(): void
    disconnect(): void
    channel(topic: string, params: object): Channel
    onClose(callback: (event: { readonly code: number }) => void): void
  }
}

declare module 'ws-8.5' {
  export * from 'ws'
}

declare module 'ws-8.11' {
  export * from 'ws'
}

declare module 'ws-8.18' {
  export * from 'ws'
}
