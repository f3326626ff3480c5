<?php
// Hands texts in to Ringfleet so that a lost answer makes no second text. PHP 8.0 or newer, no extension.
//
//   RINGFLEET_URL=http://127.0.0.1:8480 RINGFLEET_API_KEY=… \
//     php client.php +15550100001 +15550200002 crm-reminder-4712 2026-12-07T18:00:00-05:00

const PROBLEM = 'urn:ringfleet:problem:';
const TRIES = 5;
const PATIENCE = 90;

/** Status, seconds to wait and body of the answer; 0 and [] if none came that can be read. */
function call(string $method, string $path, ?string $body = null): array
{
    $end = microtime(true) + PATIENCE;
    $headers = ['Authorization: Bearer ' . getenv('RINGFLEET_API_KEY'), 'Content-Type: application/json'];
    $http = ['method' => $method, 'header' => $headers, 'content' => $body ?? '', 'timeout' => PATIENCE, 'follow_location' => 0];
    $http['ignore_errors'] = true; // The body of a refusal is wanted too.
    $url = rtrim(getenv('RINGFLEET_URL') ?: 'http://127.0.0.1:8480', '/');
    $stream = @fopen($url . $path, 'r', false, stream_context_create(['http' => $http]));
    // The time-out above begins anew with each piece; what has not come in time is cut off, and can't be read then.
    for ($text = ''; $stream && !feof($stream) && microtime(true) < $end;) {
        $text .= fread($stream, 65536);
    }
    $answer = json_decode($text, true);
    if (!is_array($answer)) {
        fwrite(STDERR, "no answer that can be read\n");
        return [0, null, []];
    }
    $head = stream_get_meta_data($stream)['wrapper_data'];
    $after = preg_filter('/^Retry-After: *(\d+)$/i', '$1', $head);
    return [(int) explode(' ', $head[0])[1], $after ? min((int) end($after), 60) : null, $answer];
}

/** Whether Ringfleet itself says what became of all of it. What something on the way says in its place is no answer. */
function is_final(int $status, array $answer): bool
{
    $type = $answer['type'] ?? null;
    if (is_string($type) && str_starts_with($type, PROBLEM)) {
        return !in_array($status, [408, 503], true);
    }
    if ($status === 200 && isset($answer['results'])) {
        return ($answer['not_taken'] ?? null) === 0 && ($answer['unknown'] ?? null) === 0;
    }
    return $status === 202 && isset($answer['id']);
}

function enqueue(array $request): array
{
    // SEND-SAFETY: each try sends the same bytes, and so the same keys: what was taken by a try whose answer was lost is answered
    // with "duplicate", and the customer gets one text. A new key for each try would be a new text for each try.
    $bytes = json_encode($request, JSON_THROW_ON_ERROR);
    for ($tried = 0; $tried < TRIES; $tried++) {
        [$status, $after, $answer] = call('POST', '/v1/messages', $bytes);
        // SEND-SAFETY: the store has forgotten the keys, too: what it is given again now goes out again.
        if (($answer['type'] ?? null) === PROBLEM . 'store-replaced') {
            fwrite(STDERR, "the store was exchanged: hand NOTHING in again before an operator has said what was sent\n");
            exit(3);
        }
        if (is_final($status, $answer)) {
            return $answer;
        }
        sleep($tried + 1 < TRIES ? $after ?? 2 ** $tried : 0);
    }
    fwrite(STDERR, "nobody knows whether it was taken: hand it in again later, with the same key\n");
    exit(1);
}

function show(array $result): void
{
    if (isset($result['id']) && !isset($result['errors']) && !isset($result['type'])) {
        echo "{$result['status']} {$result['id']}\n";
        return;
    }
    foreach ($result['errors'] ?? [['field' => 'request', 'problem' => $result['detail'] ?? '', 'remedy' => 'see docs/api.md']] as $error) {
        // Of key-conflict and key-taken the message that has the key has an id: look it up before you think of a new key.
        echo "refused {$error['field']}: {$error['problem']}; {$error['remedy']} ", $error['id'] ?? '', "\n";
    }
}

// The key is yours: system, purpose, number in your own database. It and the time are stored there before the first try: the same
// message always gets the same ones.
[, $from, $to, $key, $by] = $argv;
$message = ['from' => $from, 'to' => $to, 'text' => 'Your appointment is tomorrow at 10:00.', 'send_by' => $by];
show($one = enqueue($message + ['key' => $key]));
$many = enqueue(['messages' => [$message + ['key' => "$key-b"], ['to' => '12', 'key' => "$key-c"] + $message]]);
array_map('show', $many['results'] ?? [$many]);
if (isset($one['type']) || isset($many['type'])) {
    exit(2);
}
[$status, , $found] = call('GET', "/v1/messages/{$one['id']}");
if ($status === 200 && isset($found['id'])) {
    echo "{$found['id']} is {$found['status']}: ", ($found['eta'] ?? $found['why'][0])['text'], "\n";
}
