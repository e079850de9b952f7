// An IVR menu: a key interrupts the prompt, a wrong one gets another try, and after three the caller gets a human.
//
//     [[routes]]
//     name = "menu"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// 1 calls sales, 2 says the opening hours and comes back, anything else the operator.

import { ANSWER, HANGUP, endpoint, play } from './webhook.mjs';

const { SALES = 'PJSIP/sales', OPERATOR = 'PJSIP/operator' } = process.env;

const menu = {
  action: 'gather',
  prompt: ['sound:basic-pbx-ivr-main'],
  validDigits: ['1', '2'],
  timeout: 5,
  tries: 3,
  invalid: 'sound:invalid',
};
const dial = (to) => ({ action: 'dial', to, timeout: 20 });

function chosen(data) {
  if (data.reason === 'hangup') return [];
  if (data.digits === '1') return [dial(SALES)];
  if (data.digits === '2') return [play('sound:hours'), menu];
  return [dial(OPERATOR)];
}

// The talk is over, or nobody came: the caller may choose again.
const talked = (data) => (data.status === 'answered' ? [HANGUP] : [play('sound:vm-nobodyavail'), menu]);

endpoint({ StasisStart: () => [ANSWER, menu], DigitsCollected: chosen, DialCompleted: talked });
