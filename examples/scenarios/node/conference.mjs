// A conference with a PIN: guests hear music until the moderator is there, and leave with them. `#` leaves it.
//
//     [[routes]]
//     name = "conference"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// Each conference has two PINs. Three wrong ones end the call.

import { ANSWER, HANGUP, endpoint, play } from './webhook.mjs';

const conferences = JSON.parse(process.env.PINS ?? '{"board": {"guest": "1234", "moderator": "9876"}}');

const ask = {
  action: 'gather',
  prompt: 'sound:conf-getpin',
  validDigits: Object.values(conferences).flatMap((pins) => Object.values(pins)),
  maxDigits: 4,
  tries: 3,
  invalid: 'sound:conf-invalidpin',
};

function entered(data) {
  for (const [name, pins] of Object.entries(conferences)) {
    const room = { action: 'conference', name, exitOn: '#', beep: true, maxMembers: 20 };
    if (data.digits === pins.moderator) return [play('sound:conf-placeintoconf'), { ...room, endOnExit: true }];
    if (data.digits === pins.guest) return [play('sound:conf-placeintoconf'), { ...room, startOnEnter: false }];
  }
  return [play('sound:vm-goodbye'), HANGUP];
}

function left(data) {
  const said = { full: 'sound:conf-full', ended: 'sound:conf-leaderhasleft' };
  return [play(said[data.reason] ?? 'sound:vm-goodbye'), HANGUP];
}

endpoint({ StasisStart: () => [ANSWER, ask], DigitsCollected: entered, ConferenceCompleted: left });
