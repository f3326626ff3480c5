<?php
// Hands texts in to Ringfleet so that a lost answer makes no second text. PHP 8.0 or newer, no extension.
//
//   RINGFLEET_URL=http://127.0.0.1:8480 RINGFLEET_API_KEY=… php client.php +15550100001 +15550200002 crm-reminder-4712

const TRIES = 5;

/** Status, Retry-After and body of the answer; null if none came that can be read. */
function call(string $method, string $path, ?string $body = null): ?array
{
    $headers = ['Authorization: Bearer ' . getenv('RINGFLEET_API_KEY'), 'Content-Type: application/json'];
    $http = ['method' => $method, 'header' => $headers, 'content' => $body ?? '', 'timeout' => 90, 'follow_location' => 0];
    $http['ignore_errors'] = true; // The body of a refusal is wanted too.
    $url = getenv('RINGFLEET_URL') ?: 'http://127.0.0.1:8480';
    $stream = @fopen($url . $path, 'r', false, stream_context_create(['http' => $http]));
    $answer = $stream ? json_decode(stream_get_contents($stream), true) : null;
    if (!is_array($answer)) {
        return null;
    }
    $head = stream_get_meta_data($stream)['wrapper_data'];
    $after = preg_filter('/^Retry-After: *(\d+)$/i', '$1', $head);
    return [(int) explode(' ', $head[0])[1], $after ? (int) end($after) : null, $answer];
}

function enqueue(array $request): array
{
    // SEND-SAFETY: each try sends the same bytes, and so the same keys: what was taken by a try whose answer was lost is answered
    // with "duplicate", and the customer gets one text. A new key for each try would be a new text for each try.
    $bytes = json_encode($request, JSON_THROW_ON_ERROR);
    for ($tried = 0; $tried < TRIES; $tried++) {
        [$status, $after, $answer] = call('POST', '/v1/messages', $bytes) ?? [0, null, []];
        $unsettled = $status === 200 && $answer['not_taken'] + $answer['unknown'] > 0;
        if (!$unsettled && !in_array($status, [0, 408, 429, 502, 503, 504], true)) {
            return $answer;
        }
        if (str_ends_with($answer['type'] ?? '', ':store-replaced')) {
            break; // Coming back does not help: an operator must act first.
        }
        sleep($tried + 1 < TRIES ? min($after ?? 2 ** $tried, 60) : 0);
    }
    fwrite(STDERR, "nobody knows whether it was taken: hand it in again later, with the same key\n");
    exit(1);
}

function show(array $result): void
{
    if (isset($result['id']) && !isset($result['errors'])) {
        echo "{$result['status']} {$result['id']}\n";
        return;
    }
    foreach ($result['errors'] ?? [['field' => 'request', 'problem' => $result['detail'] ?? '', 'remedy' => 'see docs/api.md']] as $error) {
        // Of key-conflict and key-taken the message that has the key has an id: look it up before you think of a new key.
        echo "refused {$error['field']}: {$error['problem']}; {$error['remedy']} ", $error['id'] ?? '', "\n";
    }
}

[, $from, $to, $key] = $argv;
$message = ['from' => $from, 'to' => $to, 'text' => 'Your appointment is tomorrow at 10:00.'];
// The key is yours: system, purpose, number in your own database. The same message always gets the same one.
show($one = enqueue($message + ['key' => $key]));
$many = enqueue(['messages' => [$message + ['key' => "$key-b"], ['to' => '12', 'key' => "$key-c"] + $message]]);
array_map('show', $many['results'] ?? [$many]);
if (isset($one['id']) && $found = call('GET', "/v1/messages/{$one['id']}")[2] ?? null) {
    echo "{$found['id']} is {$found['status']}: ", ($found['eta'] ?? $found['why'][0])['text'], "\n";
}
