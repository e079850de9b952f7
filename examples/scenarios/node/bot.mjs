// A bot talks to the caller over a WebSocket, and hands them over to a human: here when they press 0.
//
//     [[routes]]
//     name = "bot"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// Asterisk's websocket_client.conf says where the bot is; `stream` names that client:
//
//     [bot]
//     type = websocket_client
//     uri = ws://127.0.0.1:8000/media
//     protocols = media
//     connection_type = per_call_config
//
// This bot only says again what it hears; its WebSocket is the package ws (`npm install ws`). It hands the caller over by ending the
// stream; no bot at all is a reason for a human, too.

import { WebSocketServer } from 'ws';
import { ANSWER, HANGUP, endpoint, play } from './webhook.mjs';

const { HUMAN = 'PJSIP/agent' } = process.env;

const stream = { action: 'stream', to: 'bot', format: 'ulaw' };
const handOver = [play('sound:pls-hold-while-try'), { action: 'dial', to: HUMAN, timeout: 20 }];

const streamed = (data) => (data.reason === 'ended' ? handOver : []);
const failed = (data) => (data.action.action === 'stream' ? handOver : [HANGUP]);
const talked = (data) => (data.status === 'answered' ? [HANGUP] : [play('sound:vm-nobodyavail'), HANGUP]);

const server = endpoint({
  StasisStart: () => [ANSWER, stream], StreamCompleted: streamed, ActionFailed: failed, DialCompleted: talked,
});

// chan_websocket: audio in binary messages, what happens on the channel in texts.
new WebSocketServer({ server, path: '/media' }).on('connection', (socket) => {
  socket.on('message', (message, binary) => {
    if (binary) socket.send(message);
    else if (message.toString().startsWith('DTMF_END digit:0')) socket.send('HANGUP');
  });
});
