// A ring group: first the reception, then everybody, at last a mobile phone, whose owner must press 1.
//
//     [[routes]]
//     name = "ring-group"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// The confirmation keeps the mobile's own voicemail from taking the call: it presses nothing.

import { ANSWER, HANGUP, endpoint, play } from './webhook.mjs';

const { RECEPTION = 'PJSIP/reception', EVERYBODY = 'PJSIP/alice,PJSIP/bob' } = process.env;
const { MOBILE = 'PJSIP/+491701234567@trunk', SECONDS = '15' } = process.env;

const screen = {
  action: 'gather',
  prompt: 'sound:screen-callee-options',
  validDigits: ['1'],
  timeout: 6,
  branches: { 1: [], default: [HANGUP] },
};
const ring = {
  action: 'dial',
  to: [[RECEPTION], [RECEPTION, ...EVERYBODY.split(',')], [{ endpoint: MOBILE, confirm: [screen] }]],
  timeout: Number(SECONDS),
  apology: 'sound:cancelled',
};

function talked(data) {
  if (data.status === 'answered') return [HANGUP];
  return [ANSWER, play('sound:vm-nobodyavail', 'sound:vm-goodbye'), HANGUP];
}

endpoint({ StasisStart: () => [ring], DialCompleted: talked });
