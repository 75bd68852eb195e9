declare module 'koa'
