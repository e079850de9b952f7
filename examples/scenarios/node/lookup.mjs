// Who is calling? The number is looked up before the phone rings, which then shows the name; unwanted callers hear busy.
//
//     [[routes]]
//     name = "lookup"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//     timeout = 2.5
//     deadline = 2.5
//     while_waiting = [{ action = "ring" }]
//
// In the dialplan the phone is dialled where `Stasis` ends:
//
//     exten => 100,1,Stasis(hookrouter)
//      same => n,Dial(PJSIP/100)
//
// The call is not answered here, and goes on there. A slow lookup lets the caller hear ringing after a second; after 2.5 s, or
// without this function, or without the router, the phone rings as it always did.

import { ask, endpoint } from './webhook.mjs';

const { CRM = 'http://127.0.0.1:8001/number/' } = process.env;

async function start(data) {
  const found = await (await ask(CRM + encodeURIComponent(data.channel.caller.number))).json();
  if (found.unwanted) return [{ action: 'hangup', reason: 'busy' }];
  const on = { action: 'continue' };
  return found.name ? [{ action: 'setVariable', variable: 'CALLERID(name)', value: found.name }, on] : [on];
}

endpoint({ StasisStart: start });
