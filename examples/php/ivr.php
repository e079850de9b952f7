<?php
// A small IVR: 1 reads the caller's number out, 2 records a message and plays it back. PHP 8 or later, no packages.
//
//   HOOKROUTER_SECRET=whsec_… php -S 127.0.0.1:8000 ivr.php
//
// The secret is that of the route in routes.toml; `hookrouter sign --new-secret` makes one.

declare(strict_types=1);

const MENU = [
    'action' => 'gather',
    'prompt' => ['sound:hello-world', 'sound:vm-press', 'digits:1', 'sound:vm-press', 'digits:2'],
    'validDigits' => ['1', '2'],
    'timeout' => 8,
    'tries' => 2,
];
const GOODBYE = [['action' => 'play', 'media' => 'sound:vm-goodbye'], ['action' => 'hangup']];

// What the call does next; an empty list changes nothing.
function actions(string $type, array $data, array $call): array
{
    return match ($type) {
        'StasisStart' => [['action' => 'answer'], MENU],
        'DigitsCollected' => match ($data['digits']) {
            '1' => [['action' => 'play', 'media' => 'digits:' . number($call['state'])], MENU],
            '2' => [
                ['action' => 'play', 'media' => 'sound:vm-leavemsg'],
                ['action' => 'record', 'beep' => true, 'maxSilenceSeconds' => 3, 'maxDurationSeconds' => 60, 'terminateOn' => '#'],
            ],
            default => GOODBYE,
        },
        'RecordingCompleted' => [['action' => 'play', 'media' => "recording:{$data['name']}"], ...GOODBYE],
        'ActionFailed' => [['action' => 'hangup']],
        default => [],
    };
}

// Only its digits, whatever a caller calls themselves.
function number(array $state): string
{
    $digits = preg_replace('/[^0-9*#]/', '', $state['number'] ?? '');
    return $digits === '' ? '0' : $digits;
}

// Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes. By hand, so that no Composer is
// needed; the package standard-webhooks/standard-webhooks does the same.
function signed(string $body): bool
{
    $key = getenv('HOOKROUTER_SECRET') ?: throw new RuntimeException('HOOKROUTER_SECRET is not set: the secret of the route');
    $secret = base64_decode(preg_replace('/^whsec_/', '', $key));
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $at = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!ctype_digit($at) || abs(time() - (int) $at) > 300) {
        return false;
    }
    $wanted = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", $secret, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $given) {
        if (hash_equals($wanted, $given)) {
            return true;
        }
    }
    return false;
}

$body = file_get_contents('php://input');
if (!signed($body)) {
    http_response_code(401);
    exit('wrong signature');
}
$event = json_decode($body, true);
if (!isset($event['call'])) {
    http_response_code(204);
    exit;
}
$answer = ['actions' => actions($event['type'], $event['data'], $event['call'])];
if ($event['type'] === 'StasisStart') {
    $answer['state'] = ['number' => $event['data']['channel']['caller']['number']];
}
header('content-type: application/json');
echo json_encode($answer);
