// A small IVR: 1 reads the caller's number out, 2 records a message and plays it back. Node 18 or later.
//
//   npm install standardwebhooks
//   HOOKROUTER_SECRET=whsec_… node ivr.mjs
//
// The secret is that of the route in routes.toml; `hookrouter sign --new-secret` makes one.

import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const secret = process.env.HOOKROUTER_SECRET;
if (!secret) throw new Error('HOOKROUTER_SECRET is not set: the secret of the route');
const signed = new Webhook(secret);

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
      if (data.digits === '1') {
        const number = (call.state.number ?? '').replace(/[^0-9*#]/g, ''); // whatever a caller calls themselves
        return [{ action: 'play', media: `digits:${number || '0'}` }, menu];
      }
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

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let event;
  try {
    event = signed.verify(Buffer.concat(chunks), request.headers);
  } catch {
    response.writeHead(401).end('wrong signature');
    return;
  }
  const { type, data, call } = event;
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
