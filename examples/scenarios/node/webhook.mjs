// What the scenarios share: the signature's check, and one function for each type of event. Node 18 or later, no packages.
//
//   HOOKROUTER_SECRET=whsec_… node menu.mjs
//
// `hookrouter sign --new-secret` makes the secret; routes.toml gets the same one.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

export const ANSWER = { action: 'answer' };
export const HANGUP = { action: 'hangup' };
export const play = (...media) => ({ action: 'play', media });

// Not now: the same delivery comes again after so many seconds.
export class Later extends Error {
  constructor(seconds) {
    super(`again in ${seconds} s`);
    this.seconds = seconds;
  }
}

// A server that gives `data` and `call` of an event to the function of its type, and answers what that returns. A type without
// a function changes nothing; an action that failed ends the call, unless there is one for that.
export function endpoint(functions) {
  const known = new Map(Object.entries({ ActionFailed: () => [HANGUP], ...functions }));
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (!signed(request.headers, body)) return response.writeHead(401).end('wrong signature');
    try {
      const { type, data, call } = JSON.parse(body);
      const answer = known.has(type) ? await known.get(type)(data, call) : [];
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    } catch (error) {
      console.error(error);
      response.writeHead(...(error instanceof Later ? [503, { 'retry-after': error.seconds }] : [500])).end();
    }
  });
  server.listen(Number(process.env.PORT ?? 8000), '127.0.0.1', () => console.log(`listening on port ${server.address().port}`));
  process.on('SIGTERM', () => process.exit(0));
  return server;
}

// A request of ours: GET, or POST with JSON; 10 seconds at most. From status 400 on it is an error.
export async function ask(url, { json, headers = {} } = {}) {
  const post = { method: 'POST', body: JSON.stringify(json), headers: { ...headers, 'content-type': 'application/json' } };
  const response = await fetch(url, { headers, ...(json && post), signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response;
}

// The header that the router's own HTTP wants where routes.toml has tokens.
export const token = () => (process.env.HOOKROUTER_TOKEN ? { authorization: `Bearer ${process.env.HOOKROUTER_TOKEN}` } : {});

const key = Buffer.from((process.env.HOOKROUTER_SECRET ?? '').replace(/^whsec_/, ''), 'base64');
if (!key.length) throw new Error('HOOKROUTER_SECRET is not set: the secret of the route');

// Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes.
function signed(headers, body) {
  const { 'webhook-id': id = '', 'webhook-timestamp': at = '', 'webhook-signature': signatures = '' } = headers;
  if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > 300) return false;
  const wanted = Buffer.from('v1,' + createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest('base64'));
  return signatures.split(' ').some((given) => {
    const bytes = Buffer.from(given);
    return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
  });
}
