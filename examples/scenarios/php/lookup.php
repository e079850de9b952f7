<?php
// Who is calling? The number is looked up before the phone rings, which then shows the name; unwanted callers hear busy.
//
//     [[routes]]
//     name = "lookup"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//     timeout = 2.5
//     deadline = 2.5
//     while_waiting = [{ action = "ring" }]
//
// In the dialplan the phone is dialled where `Stasis` ends:
//
//     exten => 100,1,Stasis(hookrouter)
//      same => n,Dial(PJSIP/100)
//
// The call is not answered here, and goes on there. A slow lookup lets the caller hear ringing after a second; after 2.5 s, or
// without this function, or without the router, the phone rings as it always did.

declare(strict_types=1);

require 'webhook.php';

function start(array $data, array $call): array
{
    $number = rawurlencode($data['channel']['caller']['number']);
    $found = json_decode(ask(setting('CRM', 'http://127.0.0.1:8001/number/') . $number), true);
    if ($found['unwanted'] ?? false) {
        return [['action' => 'hangup', 'reason' => 'busy']];
    }
    $on = ['action' => 'continue'];
    $name = $found['name'] ?? '';
    return $name === '' ? [$on] : [['action' => 'setVariable', 'variable' => 'CALLERID(name)', 'value' => $name], $on];
}

endpoint(StasisStart: start(...));
