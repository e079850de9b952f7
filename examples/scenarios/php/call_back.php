<?php
// Call back later: who presses 1 may hang up, and is called when the time has come, with an agent on the line.
//
//     [[routes]]
//     name = "call-back"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
//     [[routes]]
//     name = "wishes"
//     mode = "notify"
//     events = ["Notify"]
//     url = "http://127.0.0.1:8000/wishes"
//     secret = "${HOOKROUTER_SECRET}"
//
// The wish is kept by the router, not here: `notify` delivers it until this function answers 2xx. Too early, it answers 503 with
// `Retry-After` and gets it again. The call back is a `POST /v1/calls` whose id is the wish's: asked for twice, it is one call.

declare(strict_types=1);

require 'webhook.php';

const OFFER = ['action' => 'gather', 'prompt' => 'sound:vm-tocallback', 'validDigits' => ['1'], 'timeout' => 5];

function start(array $data, array $call): array
{
    $number = preg_replace('/[^0-9+]/', '', $data['channel']['caller']['number']); // whatever they call themselves: it is dialled
    return ['actions' => [ANSWER, OFFER], 'state' => ['number' => $number]];
}

function chosen(array $data, array $call): array
{
    $number = $call['state']['number'];
    if ($data['digits'] !== '1' || $number === '') {
        return [play('sound:vm-goodbye'), HANGUP];
    }
    $at = microtime(true) + (float) setting('AFTER', '300');
    $wish = ['id' => 'back-' . str_replace('.', '-', $call['id']), 'number' => $number, 'at' => $at];
    return [['action' => 'notify', 'route' => 'wishes', 'body' => $wish], play('sound:vm-goodbye'), HANGUP];
}

function due(array $wish, array $call): array
{
    $seconds = $wish['at'] - microtime(true);
    if ($seconds > 0) {
        later((int) $seconds + 1);
    }
    call_customer($wish);
    return [];
}

// The customer first; the agent is rung when they have answered.
function call_customer(array $wish): void
{
    $agent = ['action' => 'dial', 'to' => setting('AGENT', 'PJSIP/agent'), 'timeout' => 20];
    $new = [
        'id' => $wish['id'],
        'to' => str_replace('{}', $wish['number'], setting('CUSTOMER', 'PJSIP/{}@trunk')),
        'route' => 'call-back',
        'actions' => [play('sound:pls-hold-while-try'), $agent, HANGUP],
    ];
    ask(setting('ROUTER', 'http://127.0.0.1:8080') . '/v1/calls', $new, token());
}

endpoint(StasisStart: start(...), DigitsCollected: chosen(...), Notify: due(...));
