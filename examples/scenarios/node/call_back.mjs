// Call back later: who presses 1 may hang up, and is called when the time has come, with an agent on the line.
//
//     [[routes]]
//     name = "call-back"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
//     [[routes]]
//     name = "wishes"
//     mode = "notify"
//     events = ["Notify"]
//     url = "http://127.0.0.1:8000/wishes"
//     secret = "${HOOKROUTER_SECRET}"
//
// The wish is kept by the router, not here: `notify` delivers it until this function answers 2xx. Too early, it answers 503 with
// `Retry-After` and gets it again. The call back is a `POST /v1/calls` whose id is the wish's: asked for twice, it is one call.

import { ANSWER, HANGUP, Later, ask, endpoint, play, token } from './webhook.mjs';

const { AGENT = 'PJSIP/agent', CUSTOMER = 'PJSIP/{}@trunk' } = process.env;
const { ROUTER = 'http://127.0.0.1:8080', AFTER = '300' } = process.env;

const offer = { action: 'gather', prompt: 'sound:vm-tocallback', validDigits: ['1'], timeout: 5 };

function start(data) {
  const number = data.channel.caller.number.replace(/[^0-9+]/g, ''); // whatever they call themselves: it is dialled
  return { actions: [ANSWER, offer], state: { number } };
}

function chosen(data, call) {
  const { number } = call.state;
  if (data.digits !== '1' || !number) return [play('sound:vm-goodbye'), HANGUP];
  const wish = { id: `back-${call.id.replaceAll('.', '-')}`, number, at: Date.now() / 1000 + Number(AFTER) };
  return [{ action: 'notify', route: 'wishes', body: wish }, play('sound:vm-goodbye'), HANGUP];
}

async function due(wish) {
  const seconds = wish.at - Date.now() / 1000;
  if (seconds > 0) throw new Later(Math.floor(seconds) + 1);
  await callCustomer(wish);
  return [];
}

// The customer first; the agent is rung when they have answered.
async function callCustomer({ id, number }) {
  const actions = [play('sound:pls-hold-while-try'), { action: 'dial', to: AGENT, timeout: 20 }, HANGUP];
  const json = { id, to: CUSTOMER.replace('{}', number), route: 'call-back', actions };
  await ask(`${ROUTER}/v1/calls`, { json, headers: token() });
}

endpoint({ StasisStart: start, DigitsCollected: chosen, Notify: due });
