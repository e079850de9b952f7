// A small IVR: 1 reads the caller's number out, 2 records a message and plays it back. Node 18 or later, no packages.
//
//   HOOKROUTER_SECRET=whsec_… node ivr.mjs
//
// The secret is that of the route in routes.toml; `hookrouter sign --new-secret` makes one.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const secret = Buffer.from(process.env.HOOKROUTER_SECRET.replace(/^whsec_/, ''), 'base64');

const menu = {
  action: 'gather',
  prompt: ['sound:hello-world', 'sound:vm-press', 'digits:1', 'sound:vm-press', 'digits:2'],
  validDigits: ['1', '2'],
  timeout: 8,
  tries: 2,
};
const goodbye = [{ action: 'play', media: 'sound:vm-goodbye' }, { action: 'hangup' }];

// What the call does next; an empty list changes nothing.
function actions(type, data, call) {
  switch (type) {
    case 'StasisStart':
      return [{ action: 'answer' }, menu];
    case 'DigitsCollected':
      if (data.digits === '1') return [{ action: 'play', media: `digits:${call.state.number || '0'}` }, menu];
      if (data.digits === '2') {
        return [
          { action: 'play', media: 'sound:vm-leavemsg' },
          { action: 'record', beep: true, maxSilenceSeconds: 3, maxDurationSeconds: 60, terminateOn: '#' },
        ];
      }
      return goodbye;
    case 'RecordingCompleted':
      return [{ action: 'play', media: `recording:${data.name}` }, ...goodbye];
    case 'ActionFailed':
      return [{ action: 'hangup' }];
    default:
      return [];
  }
}

// Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes.
function signed(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': given = '' } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(at)) <= 300)) return false;
  const digest = createHmac('sha256', secret).update(`${id}.${at}.`).update(body).digest('base64');
  const wanted = Buffer.from(`v1,${digest}`);
  return given.split(' ').some((one) => one.length === wanted.length && timingSafeEqual(Buffer.from(one), wanted));
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (!signed(request.headers, body)) {
    response.writeHead(401).end('wrong signature');
    return;
  }
  const { type, data, call } = JSON.parse(body);
  if (!call) {
    response.writeHead(204).end();
    return;
  }
  const answer = { actions: actions(type, data, call) };
  if (type === 'StasisStart') answer.state = { number: data.channel.caller.number };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
});

server.listen(Number(process.env.PORT ?? 8000), () => console.log(`listening on port ${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
