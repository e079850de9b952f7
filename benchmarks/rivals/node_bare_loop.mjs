// The limit for Node: ws and undici, requests over the event socket; every event is posted, nothing else is done.
import { createRequire } from 'node:module';

const require = createRequire(process.env.NODE_ROOT + '/package.json');
const WebSocket = require('ws');
const { Pool } = require('undici');
const { ARI, HOOK, WANTED } = process.env;
const wanted = WANTED ? new Set(WANTED.split(',')) : null;

const hook = new Pool(new URL(HOOK).origin, { connections: 100 });
const headers = { 'content-type': 'application/json' };
const waiting = new Map();
let asked = 0;
const url = `${ARI.replace('http', 'ws')}/ari/events?app=hookrouter&api_key=hookrouter:hookrouter`;
const socket = new WebSocket(url, { perMessageDeflate: false });

const ask = (method, uri) => new Promise((resolve) => {
  const request_id = String(++asked);
  waiting.set(request_id, resolve);
  socket.send(JSON.stringify({ type: 'RESTRequest', request_id, method, uri }));
});

socket.on('open', () => console.log('up'));
socket.on('message', async (raw) => {
  const event = JSON.parse(raw);
  if (event.type === 'RESTResponse') {
    waiting.get(event.request_id)(event);
    waiting.delete(event.request_id);
    return;
  }
  if (wanted && !wanted.has(event.type)) return;
  const { body } = await hook.request({ path: '/', method: 'POST', headers, body: raw });
  for (const step of await body.json()) {
    if (step.action === 'answer') await ask('POST', `channels/${event.channel.id}/answer`);
    else if (step.action === 'hangup') await ask('DELETE', `channels/${event.channel.id}`);
  }
});
