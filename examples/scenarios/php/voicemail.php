<?php
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
// is not taken (`mail()` gives it to the machine's sendmail) the function fails, and the message comes again, for days if need
// be. A caller who hangs up has left one, too. The lamp needs Asterisk's res_mwi_external; without it everything else goes on.

declare(strict_types=1);

require 'webhook.php';

const SHORTEST = 1;
const RECORD = ['action' => 'record', 'beep' => true, 'maxDurationSeconds' => 180, 'maxSilenceSeconds' => 5, 'terminateOn' => '#'];

function start(array $data, array $call): array
{
    $caller = preg_replace('/[^0-9A-Za-z+]/', '', $data['channel']['caller']['number']); // it goes into a file's name
    $dial = ['action' => 'dial', 'to' => setting('OWNER', 'PJSIP/alice'), 'timeout' => 20];
    return ['actions' => [$dial], 'state' => ['caller' => $caller === '' ? 'unknown' : $caller]];
}

function talked(array $data, array $call): array
{
    if (in_array($data['status'], ['answered', 'cancelled'])) {
        return [HANGUP];
    }
    $greeting = explode(',', setting('GREETING', 'sound:vm-theperson,sound:vm-isunavail,sound:vm-intro'));
    $lamp = ['action' => 'mailbox', 'mailbox' => setting('MAILBOX', 'alice@default'), 'newMessages' => 1, 'onError' => 'continue'];
    return [ANSWER, play(...$greeting), $lamp, RECORD];
}

// Both routes bring it: the first says goodbye to the caller, the second delivers the message.
function recorded(array $data, array $call): array
{
    if ($call['route'] === 'voicemail') {
        return [play('sound:vm-msgsaved', 'sound:vm-goodbye'), HANGUP];
    }
    if ($data['duration'] === null || $data['duration'] >= SHORTEST) {
        send($data, $call['state']['caller']);
    }
    return [];
}

function send(array $recording, string $caller): void
{
    $audio = ask(setting('ROUTER', 'http://127.0.0.1:8080') . $recording['url'], headers: token());
    $to = setting('MAIL', 'alice@example.com');
    $edge = bin2hex(random_bytes(16));
    $text = "--$edge\r\ncontent-type: text/plain\r\n\r\n$caller has left a message of {$recording['duration']} seconds.\r\n"
        . "--$edge\r\ncontent-type: audio/wav\r\ncontent-transfer-encoding: base64\r\n"
        . "content-disposition: attachment; filename=\"$caller.wav\"\r\n\r\n" . chunk_split(base64_encode($audio)) . "--$edge--\r\n";
    $headers = ['From' => $to, 'MIME-Version' => '1.0', 'Content-Type' => "multipart/mixed; boundary=\"$edge\""];
    if (!mail($to, "Message from $caller", $text, $headers)) {
        throw new RuntimeException('the mail was not taken');
    }
}

endpoint(StasisStart: start(...), DialCompleted: talked(...), RecordingCompleted: recorded(...));
