import { chatTextLimit } from '../chat.ts'
import type { Viewer } from '../context.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { liveState } from './parts.ts'

/** The chat room. */
export function chatPage(viewer: Viewer): Html {
  return page({
    title: 'Chat',
    path: '/chat',
    viewer,
    script: 'chat',
    body: html`<div class="page-head"><h1>Chat</h1>${liveState}</div>
<p class="hint">For all logged-in users. The socket uses the session cookie of this browser; nodes and API keys have no access. <span id="presence"></span></p>
<section class="panel chat" aria-label="Chat">
  <ol class="messages" id="messages" role="log" aria-live="polite" aria-label="Messages" tabindex="0"></ol>
  <div class="empty" id="chat-empty">
    <p class="empty-title">No messages yet.</p>
    <p>Open this page in a second window and say hello.</p>
  </div>
  <form class="say" id="say-form">
    <label class="sr" for="say-text">Message</label>
    <input id="say-text" name="text" maxlength="${chatTextLimit}" autocomplete="off" placeholder="Message" required aria-describedby="say-error">
    <button class="primary" type="submit">Send</button>
  </form>
</section>
<p class="error" id="say-error" role="alert"></p>
<template id="message-row"><li><p class="meta"><span class="from" data-f="from"></span> <time data-f="at"></time></p><p class="text" data-f="text"></p></li></template>`,
  })
}
