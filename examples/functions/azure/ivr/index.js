// A small IVR as an Azure function: the caller presses a key, and hears it. HOOKROUTER_SECRET, an application setting, is the
// secret of the route.
//
//   func azure functionapp publish NAME

const { createHmac, timingSafeEqual } = require('node:crypto');

const key = Buffer.from(process.env.HOOKROUTER_SECRET.replace(/^whsec_/, ''), 'base64');
const gather = { action: 'gather', prompt: 'sound:vm-press', maxDigits: 1, timeout: 8 };

// What the call does next; an empty list changes nothing.
function actions({ type, data }) {
  switch (type) {
    case 'StasisStart':
      return [{ action: 'answer' }, { action: 'play', media: 'sound:hello-world' }, gather];
    case 'DigitsCollected':
      return [{ action: 'play', media: `digits:${data.digits || '0'}` }, { action: 'hangup' }];
    default:
      return [];
  }
}

// Whether the body is the router's, and of now: Standard Webhooks, https://www.standardwebhooks.com.
function signed(headers, body) {
  const id = headers['webhook-id'] ?? '';
  const at = headers['webhook-timestamp'] ?? '';
  if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > 300) return false;
  const wanted = createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest();
  return (headers['webhook-signature'] ?? '').split(' ').some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ''), 'base64');
    return one.startsWith('v1,') && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

module.exports = async function (context, request) {
  const body = request.rawBody ?? '';
  if (!signed(request.headers, body)) {
    context.res = { status: 401, body: 'wrong signature' };
    return;
  }
  context.res = {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(actions(JSON.parse(body))),
  };
};
