#!/bin/sh
# Hands texts in to Ringfleet so that a lost answer makes no second text. curl 7.71 or newer, and jq.
#
#   RINGFLEET_URL=http://127.0.0.1:8480 RINGFLEET_API_KEY=… \
#     sh client.sh +15550100001 +15550200002 crm-reminder-4712 2026-12-07T18:00:00-05:00
set -eu
url=${RINGFLEET_URL:-http://127.0.0.1:8480}
url=${url%/}
# The key is yours: system, purpose, number in your own database. It and the time are stored there before the first try: the same
# message always gets the same ones.
export FROM="$1" SEND_BY="$4"
tries=5
folder=$(mktemp -d)
answer=$folder/answer head=$folder/head
trap 'rm -rf "$folder"' EXIT

# Prints the status of the answer, 000 if none came; the body is in $answer. Everybody on the machine sees the words of a command:
# the API's key goes in by a file, the body by standard input. --disable: nobody's .curlrc adds tries or redirects. --noproxy: the
# API is asked directly, whatever the environment names for other calls; take it out if yours is behind such a proxy.
call() {
  rm -f "$answer" "$head"
  curl --disable --noproxy '*' --silent --show-error --max-time 90 --output "$answer" --dump-header "$head" \
    --write-out '%{http_code}' --config /dev/fd/3 "$@" 3<<CONFIG || :
header = "Authorization: Bearer $RINGFLEET_API_KEY"
header = "Content-Type: application/json"
CONFIG
}

# What Ringfleet itself says became of all of it. What something on the way says in its place is no answer: "again".
verdict() {
  STATUS=$1 jq --raw-output '
    if type != "object" then "again"
    elif (.type | tostring) == "urn:ringfleet:problem:store-replaced" then "replaced"
    elif (.type | tostring | startswith("urn:ringfleet:problem:")) then
      if env.STATUS == "408" or env.STATUS == "503" then "again" else "refused" end
    elif env.STATUS == "200" and .results and .not_taken == 0 and .unknown == 0 then "taken"
    elif env.STATUS == "202" and .id then "taken"
    else "again" end' "$answer" 2>/dev/null || echo again
}

# SEND-SAFETY: each try sends the same bytes, and so the same keys: what was taken by a try whose answer was lost is answered with
# "duplicate", and the customer gets one text. A new key for each try would be a new text for each try. curl's own --retry is not
# for this: it does not read what the answer says.
enqueue() {
  request=$(cat) tried=1 wait=1
  while :; do
    status=$(printf %s "$request" | call --data-binary @- "$url/v1/messages")
    said=$(verdict "$status")
    case $said in
      taken | refused) return ;;
      replaced)
        # SEND-SAFETY: the store has forgotten the keys, too: what it is given again now goes out again.
        echo 'the store was exchanged: hand NOTHING in again before an operator has said what was sent' >&2
        exit 3
        ;;
    esac
    [ "$tried" -lt "$tries" ] || break
    after=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]\{1,9\}\)[^0-9]*$/\1/p' "$head" 2>/dev/null | tail -n 1)
    [ "${after:-0}" -le 60 ] || after=60
    sleep "${after:-$wait}"
    tried=$((tried + 1)) wait=$((wait * 2))
  done
  echo 'nobody knows whether it was taken: hand it in again later, with the same key' >&2
  exit 1
}

# Of key-conflict and key-taken the message that has the key has an id: look it up before you think of a new key.
show() {
  jq --raw-output '(.results // [.])[] | if .id and (.errors or .type | not) then "\(.status) \(.id)" else
    (.errors // [{field: "request", problem: .detail, remedy: "see docs/api.md"}])[] |
    "refused \(.field): \(.problem); \(.remedy) \(.id // "")" end' "$answer"
}

message() {
  RECIPIENT=$1 KEY=$2 jq --null-input '{from: env.FROM, to: env.RECIPIENT, key: env.KEY, send_by: env.SEND_BY,
    text: "Your appointment is tomorrow at 10:00."}'
}

message "$2" "$3" >"$folder/one"
enqueue <"$folder/one"
show
one=$said id=$(jq --raw-output '.id // ""' "$answer")
{ message "$2" "$3-b"; message 12 "$3-c"; } | jq --slurp '{messages: .}' >"$folder/many"
enqueue <"$folder/many"
show
[ "$one" = taken ] && [ "$said" = taken ] || exit 2
if [ "$(call "$url/v1/messages/$id")" = 200 ] && jq --exit-status .id "$answer" >/dev/null 2>&1; then
  jq --raw-output '"\(.id) is \(.status): \((.eta // .why[0]).text)"' "$answer"
fi
