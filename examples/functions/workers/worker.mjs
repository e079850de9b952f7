// A small IVR as a worker of Cloudflare: the caller presses a key, and hears it. HOOKROUTER_SECRET is the secret of the route.
//
//   npx wrangler deploy && npx wrangler secret put HOOKROUTER_SECRET

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

const bytes = (base64) => Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));

// Whether the body is the router's, and of now: Standard Webhooks, https://www.standardwebhooks.com.
async function signed(headers, body, secret) {
  const id = headers.get('webhook-id') ?? '';
  const at = headers.get('webhook-timestamp') ?? '';
  if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > 300) return false;
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', bytes(secret.replace(/^whsec_/, '')), algorithm, false, ['verify']);
  const text = new TextEncoder().encode(`${id}.${at}.${body}`);
  for (const one of (headers.get('webhook-signature') ?? '').split(' ')) {
    if (/^v1,[A-Za-z0-9+/]{43}=$/.test(one) && (await crypto.subtle.verify('HMAC', key, bytes(one.slice(3)), text))) return true;
  }
  return false;
}

export default {
  async fetch(request, env) {
    const body = await request.text();
    if (!(await signed(request.headers, body, env.HOOKROUTER_SECRET))) {
      return new Response('wrong signature', { status: 401 });
    }
    return Response.json(actions(JSON.parse(body)));
  },
};
