#!/bin/sh
# Hands texts in to Ringfleet so that a lost answer makes no second text. curl 7.71 or newer, and jq.
#
#   RINGFLEET_URL=http://127.0.0.1:8480 RINGFLEET_API_KEY=… sh client.sh +15550100001 +15550200002 crm-reminder-4712
set -eu
url=${RINGFLEET_URL:-http://127.0.0.1:8480} from=$1 to=$2 key=$3
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# Prints the status of the answer, whose body is in $answer. The API's key goes in by a file, since everybody on the machine sees
# the words of a command; the body by standard input.
call() {
  curl --silent --show-error --max-time 90 --output "$answer" --write-out '%{http_code}' --config /dev/fd/3 "$@" 3<<CONFIG
header = "Authorization: Bearer $RINGFLEET_API_KEY"
header = "Content-Type: application/json"
CONFIG
}

# SEND-SAFETY: curl sends the same bytes with each try, and so the same keys: what was taken by a try whose answer was lost is
# answered with "duplicate", and the customer gets one text. A new key for each try would be a new text for each try.
# --retry is for 408, 429 and 5xx and obeys Retry-After; with --retry-all-errors it is for no answer, too.
enqueue() {
  request=$(cat)
  for tried in 1 2 3; do
    status=$(printf %s "$request" |
      call --retry 4 --retry-all-errors --retry-max-time 300 --data-binary @- "$url/v1/messages") || status=000
    case $status in
      # Of a list: as long as the store has not said of each message whether it took it.
      200) jq --exit-status '.not_taken + .unknown == 0' "$answer" >/dev/null && return ;;
      000 | 408 | 429 | 5??) break ;;
      *) return ;;
    esac
    sleep $((tried * 5))
  done
  echo 'nobody knows whether it was taken: hand it in again later, with the same key' >&2
  exit 1
}

# Of key-conflict and key-taken the message that has the key has an id: look it up before you think of a new key.
show() {
  jq --raw-output '(.results // [.])[] | if .id and (.errors | not) then "\(.status) \(.id)" else
    (.errors // [{field: "request", problem: .detail, remedy: "see docs/api.md"}])[] |
    "refused \(.field): \(.problem); \(.remedy) \(.id // "")" end' "$answer"
}

message() {
  jq --null-input --arg from "$from" --arg to "$1" --arg key "$2" \
    '{$from, $to, $key, text: "Your appointment is tomorrow at 10:00."}'
}

# The key is yours: system, purpose, number in your own database. The same message always gets the same one.
message "$to" "$key" | enqueue
show
id=$(jq --raw-output 'if .errors then "" else .id // "" end' "$answer")
{ message "$to" "$key-b"; message 12 "$key-c"; } | jq --slurp '{messages: .}' | enqueue
show
if [ -n "$id" ] && call "$url/v1/messages/$id" >/dev/null; then
  jq --raw-output '"\(.id) is \(.status): \((.eta // .why[0]).text)"' "$answer"
fi
