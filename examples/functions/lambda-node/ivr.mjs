// A small IVR as a function of AWS Lambda: the caller presses a key, and hears it. Node 18 or later, no packages.
//
// It takes what `url = "lambda:NAME"` hands it, and what its function URL does. HOOKROUTER_SECRET is the secret of the route.
// template.yaml puts it there: `sam build && sam deploy --guided`.

import { createHmac, timingSafeEqual } from 'node:crypto';

const key = Buffer.from(process.env.HOOKROUTER_SECRET.replace(/^whsec_/, ''), 'base64');
const gather = { action: 'gather', prompt: 'sound:vm-press', maxDigits: 1, timeout: 8 };

// Whether the body is the router's, and of now: Standard Webhooks, https://www.standardwebhooks.com
function signed(headers, body) {
  const { 'webhook-id': id = '', 'webhook-timestamp': at = '', 'webhook-signature': signatures = '' } = headers;
  if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > 300) return false;
  const wanted = Buffer.from('v1,' + createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest('base64'));
  return signatures.split(' ').some((one) => {
    const given = Buffer.from(one);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

// What the call does next; an empty list changes nothing.
function actions({ type, data }) {
  if (type === 'StasisStart') return [{ action: 'answer' }, { action: 'play', media: 'sound:hello-world' }, gather];
  if (type === 'DigitsCollected') return [{ action: 'play', media: `digits:${data.digits || '0'}` }, { action: 'hangup' }];
  return [];
}

export async function handler(event) {
  const body = Buffer.from(event.body, event.isBase64Encoded ? 'base64' : 'utf8');
  if (!signed(event.headers, body)) return { statusCode: 401, body: 'wrong signature' };
  return { statusCode: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(actions(JSON.parse(body))) };
}
