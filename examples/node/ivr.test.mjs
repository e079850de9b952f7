// Starts ivr.mjs and asks it as the router does: `npm test`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Webhook } from 'standardwebhooks';

const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`;
const secret = newSecret();
let server;
let url;

before(async () => {
  const environment = { ...process.env, HOOKROUTER_SECRET: secret, PORT: '0' };
  const program = fileURLToPath(new URL('ivr.mjs', import.meta.url));
  server = spawn(process.execPath, [program], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(server.stdout, 'data');
  url = `http://127.0.0.1:${/port (\d+)/.exec(line)[1]}/`;
});
after(() => server.kill('SIGKILL'));

// The response to one event.
function ask(type, data, state = {}, signer = secret) {
  const body = JSON.stringify({ id: 'evt_1', type, data, call: { id: '1.1', state } });
  const now = new Date();
  const headers = {
    'content-type': 'application/json',
    'webhook-id': 'evt_1',
    'webhook-timestamp': String(Math.floor(now / 1000)),
    'webhook-signature': new Webhook(signer).sign('evt_1', now, body),
  };
  return fetch(url, { method: 'POST', headers, body });
}

test('a new call gets the menu', async () => {
  const answer = await (await ask('StasisStart', { channel: { caller: { number: '100' } } })).json();
  assert.deepEqual(answer.actions.map((one) => one.action), ['answer', 'gather']);
  assert.deepEqual(answer.state, { number: '100' });
});

test('1 reads the number out', async () => {
  const answer = await (await ask('DigitsCollected', { digits: '1' }, { number: '100' })).json();
  assert.deepEqual(answer.actions[0], { action: 'play', media: 'digits:100' });
});

test('a wrong signature is refused', async () => {
  assert.equal((await ask('StasisStart', {}, {}, newSecret())).status, 401);
});
