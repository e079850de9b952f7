<?php
// An IVR menu: a key interrupts the prompt, a wrong one gets another try, and after three the caller gets a human.
//
//     [[routes]]
//     name = "menu"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// 1 calls sales, 2 says the opening hours and comes back, anything else the operator.

declare(strict_types=1);

require 'webhook.php';

const MENU = [
    'action' => 'gather',
    'prompt' => ['sound:basic-pbx-ivr-main'],
    'validDigits' => ['1', '2'],
    'timeout' => 5,
    'tries' => 3,
    'invalid' => 'sound:invalid',
];

function dial(string $whom): array
{
    return ['action' => 'dial', 'to' => $whom, 'timeout' => 20];
}

function start(array $data, array $call): array
{
    return [ANSWER, MENU];
}

function chosen(array $data, array $call): array
{
    if ($data['reason'] === 'hangup') {
        return [];
    }
    return match ($data['digits']) {
        '1' => [dial(setting('SALES', 'PJSIP/sales'))],
        '2' => [play('sound:hours'), MENU],
        default => [dial(setting('OPERATOR', 'PJSIP/operator'))],
    };
}

// The talk is over, or nobody came: the caller may choose again.
function talked(array $data, array $call): array
{
    return $data['status'] === 'answered' ? [HANGUP] : [play('sound:vm-nobodyavail'), MENU];
}

endpoint(StasisStart: start(...), DigitsCollected: chosen(...), DialCompleted: talked(...));
