// This call is recorded: the caller is told so, both sides are in the file, and card data is not.
//
//     [[routes]]
//     name = "recorded"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//     events = ["StasisStart", "StasisEnd", "ChannelDtmfReceived"]
//
//     [[routes]]
//     name = "archive"
//     mode = "notify"
//     events = ["RecordingCompleted"]
//     url = "http://127.0.0.1:8000/archive"
//     secret = "${HOOKROUTER_SECRET}"
//
// The agent presses * before the caller reads out the card's number, and * again afterwards: a gap is in the file. The file's name
// comes to the second route, when it is closed, however the call has ended.

import { ANSWER, HANGUP, endpoint, play } from './webhook.mjs';

const { AGENT = 'PJSIP/agent', NOTICE = 'sound:this-call-may-be-monitored-or-recorded' } = process.env;

const dial = { action: 'dial', to: AGENT, timeout: 20 };

const start = (data, call) => [ANSWER, play(NOTICE), { action: 'startRecording', name: `calls/${call.id}` }, dial, HANGUP];

function key(data, call) {
  if (data.digit !== '*' || data.channel.id === call.id) return [];
  const paused = call.state.paused ?? false;
  const action = { action: paused ? 'resumeRecording' : 'pauseRecording' };
  return { actions: [action], mode: 'parallel', state: { paused: !paused } };
}

function closed(data, call) {
  if (call.route === 'archive') console.log(`${data.name}: ${data.duration} s, at ${data.url}`);
  return [];
}

endpoint({ StasisStart: start, ChannelDtmfReceived: key, RecordingCompleted: closed });
