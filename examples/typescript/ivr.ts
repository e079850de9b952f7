// A small IVR: 1 reads the caller's number out, 2 records a message and plays it back. Node 18 or later.
//
//   npm install && npm run types && npm run build
//   HOOKROUTER_SECRET=whsec_… npm start
//
// `npm run types` makes hookrouter.d.ts from `hookrouter schema openapi`: every event, every action. The secret is that of
// the route in routes.toml; `hookrouter sign --new-secret` makes one.

import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';
import type { components } from './hookrouter.js';

type Action = components['schemas']['Action'];
type Answer = components['schemas']['Answer'];
type Event = components['schemas']['Webhook'];
type State = { number?: string };

const signed = new Webhook(process.env.HOOKROUTER_SECRET ?? '');

const menu: Action = {
  action: 'gather',
  prompt: ['sound:hello-world', 'sound:vm-press', 'digits:1', 'sound:vm-press', 'digits:2'],
  validDigits: ['1', '2'],
  timeout: 8,
  tries: 2,
};
const goodbye: Action[] = [{ action: 'play', media: 'sound:vm-goodbye' }, { action: 'hangup' }];

// What the call does next; an empty list changes nothing.
function answerTo(event: Event, state: State): Answer {
  switch (event.type) {
    case 'StasisStart':
      return { actions: [{ action: 'answer' }, menu], state: { number: event.data.channel.caller.number } };
    case 'DigitsCollected':
      if (event.data.digits === '1') {
        const number = (state.number ?? '').replace(/[^0-9*#]/g, ''); // whatever a caller calls themselves
        return { actions: [{ action: 'play', media: `digits:${number || '0'}` }, menu] };
      }
      if (event.data.digits === '2') {
        return {
          actions: [
            { action: 'play', media: 'sound:vm-leavemsg' },
            { action: 'record', beep: true, maxSilenceSeconds: 3, maxDurationSeconds: 60, terminateOn: '#' },
          ],
        };
      }
      return { actions: goodbye };
    case 'RecordingCompleted':
      return { actions: [{ action: 'play', media: `recording:${event.data.name}` }, ...goodbye] };
    case 'ActionFailed':
      return { actions: [{ action: 'hangup' }] };
    default:
      return { actions: [] };
  }
}

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  let event: Event;
  try {
    event = signed.verify(Buffer.concat(chunks), request.headers as Record<string, string>) as Event;
  } catch {
    response.writeHead(401).end('wrong signature');
    return;
  }
  if (!event.call) {
    response.writeHead(204).end();
    return;
  }
  const answer = answerTo(event, event.call.state as State);
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
});

const port = Number(process.env.PORT ?? 8000);
server.listen(port, () => console.log(`listening on port ${port}`));
