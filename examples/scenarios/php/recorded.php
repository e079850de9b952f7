<?php
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

declare(strict_types=1);

require 'webhook.php';

function start(array $data, array $call): array
{
    $notice = setting('NOTICE', 'sound:this-call-may-be-monitored-or-recorded');
    $recording = ['action' => 'startRecording', 'name' => 'calls/' . $call['id']];
    $dial = ['action' => 'dial', 'to' => setting('AGENT', 'PJSIP/agent'), 'timeout' => 20];
    return [ANSWER, play($notice), $recording, $dial, HANGUP];
}

function key_pressed(array $data, array $call): array
{
    if ($data['digit'] !== '*' || $data['channel']['id'] === $call['id']) {
        return [];
    }
    $paused = $call['state']['paused'] ?? false;
    $action = ['action' => $paused ? 'resumeRecording' : 'pauseRecording'];
    return ['actions' => [$action], 'mode' => 'parallel', 'state' => ['paused' => !$paused]];
}

function closed(array $data, array $call): array
{
    if ($call['route'] === 'archive') {
        error_log("{$data['name']}: {$data['duration']} s, at {$data['url']}");
    }
    return [];
}

endpoint(StasisStart: start(...), ChannelDtmfReceived: key_pressed(...), RecordingCompleted: closed(...));
