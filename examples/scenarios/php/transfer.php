<?php
// Attended transfer: the agent types #, three digits of a colleague, talks to them, and hangs up to hand the caller over.
//
//     [[routes]]
//     name = "transfer"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//     events = ["StasisStart", "StasisEnd", "ChannelDtmfReceived", "ChannelTransfer"]
//
// `*` takes the caller back. The transfer key of the agent's phone works, too: its REFER comes as `ChannelTransfer`, because
// the leg says so in `PJSIP_TRANSFER_HANDLING()` (else Asterisk does what it thinks best). A caller cannot transfer anybody.

declare(strict_types=1);

require 'webhook.php';

function to(string $number, string $mode): array
{
    $colleague = str_replace('{}', $number, setting('COLLEAGUE', 'PJSIP/{}'));
    return [['action' => 'transfer', 'to' => $colleague, 'mode' => $mode, 'timeout' => 20], HANGUP];
}

function start(array $data, array $call): array
{
    $agent = ['endpoint' => setting('AGENT', 'PJSIP/agent'), 'variables' => ['PJSIP_TRANSFER_HANDLING()' => 'ari-only']];
    return [['action' => 'dial', 'to' => $agent], HANGUP];
}

function key_pressed(array $data, array $call): array
{
    if ($data['channel']['id'] === $call['id']) {
        return [];
    }
    $typed = ($call['state']['typed'] ?? '') . $data['digit'];
    if ($typed[0] !== '#') {
        return [];
    }
    if (strlen($typed) < 4) {
        return ['state' => ['typed' => $typed]];
    }
    return ['actions' => to(substr($typed, 1), 'attended'), 'state' => new stdClass()];
}

function refer(array $data, array $call): array
{
    $wanted = $data['refer_to']['requested_destination']['destination'] ?? '';
    preg_match('/^(?:sip:)?([0-9]+)(?:@|$)/', $wanted, $found);
    return $found && !isset($data['state']) ? to($found[1], 'blind') : [];
}

endpoint(StasisStart: start(...), ChannelDtmfReceived: key_pressed(...), ChannelTransfer: refer(...));
