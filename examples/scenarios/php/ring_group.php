<?php
// A ring group: first the reception, then everybody, at last a mobile phone, whose owner must press 1.
//
//     [[routes]]
//     name = "ring-group"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// The confirmation keeps the mobile's own voicemail from taking the call: it presses nothing.

declare(strict_types=1);

require 'webhook.php';

const SCREEN = [
    'action' => 'gather',
    'prompt' => 'sound:screen-callee-options',
    'validDigits' => ['1'],
    'timeout' => 6,
    'branches' => ['1' => [], 'default' => [HANGUP]],
];

function start(array $data, array $call): array
{
    $reception = setting('RECEPTION', 'PJSIP/reception');
    $everybody = explode(',', setting('EVERYBODY', 'PJSIP/alice,PJSIP/bob'));
    $mobile = ['endpoint' => setting('MOBILE', 'PJSIP/+491701234567@trunk'), 'confirm' => [SCREEN]];
    return [[
        'action' => 'dial',
        'to' => [[$reception], [$reception, ...$everybody], [$mobile]],
        'timeout' => (float) setting('SECONDS', '15'),
        'apology' => 'sound:cancelled',
    ]];
}

function talked(array $data, array $call): array
{
    if ($data['status'] === 'answered') {
        return [HANGUP];
    }
    return [ANSWER, play('sound:vm-nobodyavail', 'sound:vm-goodbye'), HANGUP];
}

endpoint(StasisStart: start(...), DialCompleted: talked(...));
