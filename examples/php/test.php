<?php
// Starts ivr.php and asks it as the router does: `php test.php`. Exit status 0: all is well.

declare(strict_types=1);

$secret = 'whsec_' . base64_encode(random_bytes(32));
$socket = stream_socket_server('tcp://127.0.0.1:0');
$at = stream_socket_get_name($socket, false);
fclose($socket);
$environment = ['HOOKROUTER_SECRET' => $secret] + getenv();
$command = [PHP_BINARY, '-S', $at, __DIR__ . '/ivr.php'];
$server = proc_open($command, [2 => ['file', '/dev/null', 'w']], $pipes, __DIR__, $environment);
register_shutdown_function(fn() => proc_terminate($server, 9));
for ($until = microtime(true) + 20; !($open = @fsockopen("tcp://$at")); usleep(20000)) {
    microtime(true) < $until || exit("ivr.php does not start\n");
}
fclose($open);

// The status and the answer to one event.
function ask(string $type, array $data, array $state, string $secret): array
{
    global $at;
    $call = ['id' => '1.1', 'state' => (object) $state];
    $body = json_encode(['id' => 'evt_1', 'type' => $type, 'data' => $data, 'call' => $call]);
    $time = time();
    $key = base64_decode(substr($secret, 6));
    $signature = 'v1,' . base64_encode(hash_hmac('sha256', "evt_1.$time.$body", $key, true));
    $headers = "content-type: application/json\r\nwebhook-id: evt_1\r\nwebhook-timestamp: $time\r\nwebhook-signature: $signature";
    $http = ['method' => 'POST', 'header' => $headers, 'content' => $body, 'ignore_errors' => true];
    $text = file_get_contents("http://$at/", false, stream_context_create(['http' => $http]));
    return [(int) explode(' ', $http_response_header[0])[1], json_decode($text, true)];
}

function same(mixed $found, mixed $wanted, string $what): void
{
    if ($found !== $wanted) {
        fwrite(STDERR, "$what: " . json_encode($found) . ', not ' . json_encode($wanted) . "\n");
        exit(1);
    }
}

$channel = ['channel' => ['caller' => ['number' => '100']]];
[$status, $answer] = ask('StasisStart', $channel, [], $secret);
same($status, 200, 'the status');
same(array_column($answer['actions'], 'action'), ['answer', 'gather'], 'a new call');
same($answer['state'], ['number' => '100'], 'its state');
[, $answer] = ask('DigitsCollected', ['digits' => '1'], ['number' => '100'], $secret);
same($answer['actions'][0], ['action' => 'play', 'media' => 'digits:100'], 'the key 1');
[$status] = ask('StasisStart', $channel, [], 'whsec_' . base64_encode('another secret'));
same($status, 401, 'a wrong signature');
echo "all is well\n";
