<?php
// A conference with a PIN: guests hear music until the moderator is there, and leave with them. `#` leaves it.
//
//     [[routes]]
//     name = "conference"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// Each conference has two PINs. Three wrong ones end the call.

declare(strict_types=1);

require 'webhook.php';

function pins(): array
{
    return json_decode(setting('PINS', '{"board": {"guest": "1234", "moderator": "9876"}}'), true);
}

function start(array $data, array $call): array
{
    return [ANSWER, [
        'action' => 'gather',
        'prompt' => 'sound:conf-getpin',
        'validDigits' => array_merge(...array_map('array_values', array_values(pins()))),
        'maxDigits' => 4,
        'tries' => 3,
        'invalid' => 'sound:conf-invalidpin',
    ]];
}

function entered(array $data, array $call): array
{
    foreach (pins() as $name => $pins) {
        $room = ['action' => 'conference', 'name' => (string) $name, 'exitOn' => '#', 'beep' => true, 'maxMembers' => 20];
        if ($data['digits'] === $pins['moderator']) {
            return [play('sound:conf-placeintoconf'), $room + ['endOnExit' => true]];
        }
        if ($data['digits'] === $pins['guest']) {
            return [play('sound:conf-placeintoconf'), $room + ['startOnEnter' => false]];
        }
    }
    return [play('sound:vm-goodbye'), HANGUP];
}

function left(array $data, array $call): array
{
    $said = ['full' => 'sound:conf-full', 'ended' => 'sound:conf-leaderhasleft'];
    return [play($said[$data['reason']] ?? 'sound:vm-goodbye'), HANGUP];
}

endpoint(StasisStart: start(...), DigitsCollected: entered(...), ConferenceCompleted: left(...));
