// Attended transfer: the agent types #, three digits of a colleague, talks to them, and hangs up to hand the caller over.
//
//     [[routes]]
//     name = "transfer"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//     events = ["StasisStart", "StasisEnd", "ChannelDtmfReceived", "ChannelTransfer"]
//
// `*` takes the caller back. The transfer key of the agent's phone works, too: its REFER comes as `ChannelTransfer`, because
// the leg says so in `PJSIP_TRANSFER_HANDLING()` (else Asterisk does what it thinks best). A caller cannot transfer anybody.

import { HANGUP, endpoint } from './webhook.mjs';

const { AGENT = 'PJSIP/agent', COLLEAGUE = 'PJSIP/{}' } = process.env;

const dial = { action: 'dial', to: { endpoint: AGENT, variables: { 'PJSIP_TRANSFER_HANDLING()': 'ari-only' } } };
const to = (number, mode) => [{ action: 'transfer', to: COLLEAGUE.replace('{}', number), mode, timeout: 20 }, HANGUP];

function key(data, call) {
  if (data.channel.id === call.id) return [];
  const typed = (call.state.typed ?? '') + data.digit;
  if (!typed.startsWith('#')) return [];
  if (typed.length < 4) return { state: { typed } };
  return { actions: to(typed.slice(1), 'attended'), state: {} };
}

function refer(data) {
  const [, number] = /^(?:sip:)?([0-9]+)(?:@|$)/.exec(data.refer_to.requested_destination?.destination ?? '') ?? [];
  return number && !('state' in data) ? to(number, 'blind') : [];
}

endpoint({ StasisStart: () => [dial, HANGUP], ChannelDtmfReceived: key, ChannelTransfer: refer });
