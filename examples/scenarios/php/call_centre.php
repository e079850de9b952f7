<?php
// A call centre: callers wait with music and hear their place; agents call in and get one caller after another.
//
//     [[routes]]
//     name = "call-centre"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// Who calls from a number in AGENTS is an agent. A caller may press 9 to give up waiting, and is sent home after ten minutes;
// one who hangs up has left the queue. The function remembers nothing: the queue is the router's.

declare(strict_types=1);

require 'webhook.php';

const NEXT = ['action' => 'dequeue', 'queue' => 'support', 'whisper' => 'sound:beep'];

function start(array $data, array $call): array
{
    $caller = $data['channel']['caller']['number'];
    if (in_array($caller, explode(',', setting('AGENTS', '201,202,203')), true)) {
        return ['actions' => [ANSWER, play('sound:agent-loginok'), NEXT], 'state' => ['agent' => $caller]];
    }
    $wait = [
        'action' => 'enqueue',
        'queue' => 'support',
        'waitUrl' => 'position',
        'every' => (float) setting('EVERY', '30'),
        'timeout' => 600,
        'exitOn' => '9',
    ];
    return ['actions' => [ANSWER, $wait], 'state' => ['caller' => $caller]];
}

function position(array $data, array $call): array
{
    if ($data['position'] === 1) {
        return [play('sound:queue-youarenext')];
    }
    return [play('sound:queue-thereare', 'number:' . ($data['position'] - 1), 'sound:queue-callswaiting')];
}

function done(array $data, array $call): array
{
    if (isset($call['state']['agent'])) { // the talk is over, or nobody waits: look again in a second
        return $data['reason'] === 'empty' ? [['action' => 'pause', 'seconds' => 1], NEXT] : [NEXT];
    }
    if (in_array($data['reason'], ['timeout', 'exit'])) {
        return [play('sound:vm-nobodyavail', 'sound:vm-goodbye'), HANGUP];
    }
    return [HANGUP];
}

endpoint(StasisStart: start(...), QueueWaiting: position(...), QueueCompleted: done(...));
