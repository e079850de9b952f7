// Voicemail: the phone rings; if nobody comes, a message is recorded and mailed, and the message lamp goes on.
//
//     [[routes]]
//     name = "voicemail"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
//     [[routes]]
//     name = "messages"
//     mode = "notify"
//     events = ["RecordingCompleted"]
//     url = "http://127.0.0.1:8000/messages"
//     secret = "${HOOKROUTER_SECRET}"
//
// The second route is the reason that no message is lost: it is delivered until this function has answered 2xx. If the mail
// is not taken (by the machine's sendmail, or what SENDMAIL names) the function fails, and the message comes again, for days if
// need be. A caller who hangs up has left one, too. The lamp needs Asterisk's res_mwi_external; without it the rest goes on.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { ANSWER, HANGUP, ask, endpoint, play, token } from './webhook.mjs';

const { OWNER = 'PJSIP/alice', MAILBOX = 'alice@default', MAIL = 'alice@example.com' } = process.env;
const { ROUTER = 'http://127.0.0.1:8080', SENDMAIL = '/usr/sbin/sendmail -t -i' } = process.env;
const { GREETING = 'sound:vm-theperson,sound:vm-isunavail,sound:vm-intro' } = process.env;
const shortest = 1;

const lamp = { action: 'mailbox', mailbox: MAILBOX, newMessages: 1, onError: 'continue' };
const record = { action: 'record', beep: true, maxDurationSeconds: 180, maxSilenceSeconds: 5, terminateOn: '#' };

function start(data) {
  const caller = data.channel.caller.number.replace(/[^0-9A-Za-z+]/g, '') || 'unknown'; // it goes into a file's name
  return { actions: [{ action: 'dial', to: OWNER, timeout: 20 }], state: { caller } };
}

function talked(data) {
  if (['answered', 'cancelled'].includes(data.status)) return [HANGUP];
  return [ANSWER, play(...GREETING.split(',')), lamp, record];
}

// Both routes bring it: the first says goodbye to the caller, the second delivers the message.
async function recorded(data, call) {
  if (call.route === 'voicemail') return [play('sound:vm-msgsaved', 'sound:vm-goodbye'), HANGUP];
  if (data.duration === null || data.duration >= shortest) await send(data, call.state.caller);
  return [];
}

async function send(recording, caller) {
  const audio = Buffer.from(await (await ask(ROUTER + recording.url, { headers: token() })).arrayBuffer());
  const edge = randomUUID();
  const message = [
    `To: ${MAIL}`, `From: ${MAIL}`, `Subject: Message from ${caller}`,
    'MIME-Version: 1.0', `Content-Type: multipart/mixed; boundary="${edge}"`, '',
    `--${edge}`, 'Content-Type: text/plain', '', `${caller} has left a message of ${recording.duration} seconds.`,
    `--${edge}`, 'Content-Type: audio/wav', 'Content-Transfer-Encoding: base64',
    `Content-Disposition: attachment; filename="${caller}.wav"`, '',
    ...audio.toString('base64').match(/.{1,76}/g), `--${edge}--`, '',
  ];
  const sendmail = spawn(SENDMAIL, { shell: true, stdio: ['pipe', 'inherit', 'inherit'] });
  sendmail.stdin.on('error', () => {}); // it has ended before: its status tells
  sendmail.stdin.end(message.join('\r\n'));
  const [status] = await once(sendmail, 'close');
  if (status !== 0) throw new Error(`the mail was not taken: ${SENDMAIL} ended with status ${status}`);
}

endpoint({ StasisStart: start, DialCompleted: talked, RecordingCompleted: recorded });
