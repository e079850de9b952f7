<?php
// A bot talks to the caller over a WebSocket, and hands them over to a human: here when they press 0.
//
//     [[routes]]
//     name = "bot"
//     url = "http://127.0.0.1:8000/"
//     secret = "${HOOKROUTER_SECRET}"
//
// Asterisk's websocket_client.conf says where the bot is; `stream` names that client:
//
//     [bot]
//     type = websocket_client
//     uri = ws://127.0.0.1:8001/media
//     protocols = media
//     connection_type = per_call_config
//
// The bot is a program of its own, as PHP serves no WebSockets by itself: bot.mjs and bot.py show one. It hands the caller over by
// ending the stream; no bot at all is a reason for a human, too.

declare(strict_types=1);

require 'webhook.php';

const STREAM = ['action' => 'stream', 'to' => 'bot', 'format' => 'ulaw'];

function hand_over(): array
{
    return [play('sound:pls-hold-while-try'), ['action' => 'dial', 'to' => setting('HUMAN', 'PJSIP/agent'), 'timeout' => 20]];
}

function start(array $data, array $call): array
{
    return [ANSWER, STREAM];
}

function streamed(array $data, array $call): array
{
    return $data['reason'] === 'ended' ? hand_over() : [];
}

function failed(array $data, array $call): array
{
    return $data['action']['action'] === 'stream' ? hand_over() : [HANGUP];
}

function talked(array $data, array $call): array
{
    return $data['status'] === 'answered' ? [HANGUP] : [play('sound:vm-nobodyavail'), HANGUP];
}

endpoint(StasisStart: start(...), StreamCompleted: streamed(...), ActionFailed: failed(...), DialCompleted: talked(...));
