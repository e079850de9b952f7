<?php
// What the scenarios share: the signature's check, and one function for each type of event. PHP 8.1 or later, no packages.
//
//   HOOKROUTER_SECRET=whsec_… php -S 127.0.0.1:8000 menu.php
//
// `hookrouter sign --new-secret` makes the secret; routes.toml gets the same one.

declare(strict_types=1);

ini_set('display_errors', '0'); // what goes wrong is a 500 and a line of the log, never a 200
set_error_handler(fn (int $level, string $message) => throw new ErrorException($message, 0, $level));

const ANSWER = ['action' => 'answer'];
const HANGUP = ['action' => 'hangup'];

function play(string ...$media): array
{
    return ['action' => 'play', 'media' => $media];
}

function setting(string $name, string $default): string
{
    $value = getenv($name);
    return $value === false ? $default : $value;
}

// Gives `data` and `call` of the event to the function of its type, and answers what that returns. A type without a
// function changes nothing; an action that failed ends the call, unless there is one for that.
function endpoint(callable ...$functions): never
{
    $body = file_get_contents('php://input');
    if (!signed($body)) {
        http_response_code(401);
        exit('wrong signature');
    }
    $event = json_decode($body, true);
    $functions += ['ActionFailed' => fn (array $data, array $call): array => [HANGUP]];
    $function = $functions[$event['type']] ?? fn (): array => [];
    $answer = $function($event['data'], $event['call'] ?? []);
    header('content-type: application/json');
    exit(json_encode($answer, JSON_THROW_ON_ERROR));
}

// Not now: the same delivery comes again after so many seconds.
function later(int $seconds): never
{
    http_response_code(503);
    header("retry-after: $seconds");
    exit;
}

// A request of ours: GET, or POST with JSON; 10 seconds at most. What it answers; a warning, and so an error, from status 400 on.
function ask(string $url, ?array $json = null, array $headers = []): string
{
    $http = ['timeout' => 10, 'header' => $headers];
    if ($json !== null) {
        $headers[] = 'content-type: application/json';
        $http = ['method' => 'POST', 'content' => json_encode($json), 'header' => $headers] + $http;
    }
    return file_get_contents($url, false, stream_context_create(['http' => $http]));
}

// The header that the router's own HTTP wants where routes.toml has tokens.
function token(): array
{
    $token = setting('HOOKROUTER_TOKEN', '');
    return $token === '' ? [] : ["authorization: Bearer $token"];
}

// Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes.
function signed(string $body): bool
{
    $key = base64_decode(preg_replace('/^whsec_/', '', setting('HOOKROUTER_SECRET', '')));
    if ($key === '') {
        throw new RuntimeException('HOOKROUTER_SECRET is not set: the secret of the route');
    }
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $at = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!ctype_digit($at) || abs(time() - (int) $at) > 300) {
        return false;
    }
    $wanted = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", $key, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $given) {
        if (hash_equals($wanted, $given)) {
            return true;
        }
    }
    return false;
}
