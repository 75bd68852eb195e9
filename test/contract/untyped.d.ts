// Packages whose own types are not installed: the tests look at behaviour.
declare module 'express4'
declare module 'express-ws'
declare module 'koa'
declare module 'koa2'
declare module 'koa-mount'
declare module 'koa-static'
declare module 'method-override'
declare module 'supertest'
