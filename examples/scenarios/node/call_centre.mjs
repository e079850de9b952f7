// A call centre: callers wait with music and hear their place; agents call in and get one caller after another.
//
//     [[routes]]
//     name = "call-centre"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// Who calls from a number in AGENTS is an agent. A caller may press 9 to give up waiting, and is sent home after ten minutes;
// one who hangs up has left the queue. The function remembers nothing: the queue is the router's.

import { ANSWER, HANGUP, endpoint, play } from './webhook.mjs';

const { AGENTS = '201,202,203', EVERY = '30' } = process.env;

const wait = { action: 'enqueue', queue: 'support', waitUrl: 'position', every: Number(EVERY), timeout: 600, exitOn: '9' };
const next = { action: 'dequeue', queue: 'support', whisper: 'sound:beep' };

function start(data) {
  const caller = data.channel.caller.number;
  if (AGENTS.split(',').includes(caller)) {
    return { actions: [ANSWER, play('sound:agent-loginok'), next], state: { agent: caller } };
  }
  return { actions: [ANSWER, wait], state: { caller } };
}

function position(data) {
  if (data.position === 1) return [play('sound:queue-youarenext')];
  return [play('sound:queue-thereare', `number:${data.position - 1}`, 'sound:queue-callswaiting')];
}

function done(data, call) {
  if (call.state.agent) return data.reason === 'empty' ? [{ action: 'pause', seconds: 1 }, next] : [next]; // look again
  if (['timeout', 'exit'].includes(data.reason)) return [play('sound:vm-nobodyavail', 'sound:vm-goodbye'), HANGUP];
  return [HANGUP];
}

endpoint({ StasisStart: start, QueueWaiting: position, QueueCompleted: done });
