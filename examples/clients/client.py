"""Hands texts in to Ringfleet so that a lost answer makes no second text. Python 3.8 or newer, nothing else.

    RINGFLEET_URL=http://127.0.0.1:8480 RINGFLEET_API_KEY=… \
        python3 client.py +15550100001 +15550200002 crm-reminder-4712 2026-12-07T18:00:00-05:00
"""

import http.client
import json
import os
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

URL = urlsplit(os.environ.get("RINGFLEET_URL", "http://127.0.0.1:8480").rstrip("/"))
HEADERS = {"Authorization": "Bearer " + os.environ["RINGFLEET_API_KEY"], "Content-Type": "application/json"}
PROBLEM = "urn:ringfleet:problem:"
TRIES = 5
PATIENCE = 90


def call(method, path, body=None):
    """Status, seconds to wait and body of the answer; 0 and {} if none came that can be read.

    http.client follows no redirect, asks no proxy, and repeats nothing by itself.
    """
    connect = http.client.HTTPSConnection if URL.scheme == "https" else http.client.HTTPConnection
    connection = connect(URL.netloc, timeout=PATIENCE)
    try:
        connection.connect()
        # The time-out above begins anew with each byte; this one is for all of the answer.
        end = threading.Timer(PATIENCE, connection.sock.shutdown, [socket.SHUT_RDWR])
        end.start()
        try:
            connection.request(method, URL.path + path, body, HEADERS)
            answer = connection.getresponse()
            status, after, told = answer.status, answer.headers.get("Retry-After", ""), json.loads(answer.read())
        finally:
            end.cancel()
    except (OSError, http.client.HTTPException, ValueError) as error:
        print("no answer that can be read:", type(error).__name__, file=sys.stderr)
        return 0, None, {}
    finally:
        connection.close()
    return status, min(int(after), 60) if after.isdecimal() else None, told if isinstance(told, dict) else {}


def is_final(status, answer):
    """Whether Ringfleet itself says what became of all of it. What something on the way says in its place is no answer."""
    if str(answer.get("type", "")).startswith(PROBLEM):
        return status not in (408, 503)
    if status == 200 and "results" in answer:
        return answer.get("not_taken") == 0 and answer.get("unknown") == 0
    return status == 202 and "id" in answer


def enqueue(request):
    # SEND-SAFETY: each try sends the same bytes, and so the same keys: what was taken by a try whose answer was lost is answered
    # with "duplicate", and the customer gets one text. A new key for each try would be a new text for each try.
    body = json.dumps(request).encode()
    for tried in range(TRIES):
        status, after, answer = call("POST", "/v1/messages", body)
        # SEND-SAFETY: the store has forgotten the keys, too: what it is given again now goes out again.
        if answer.get("type") == PROBLEM + "store-replaced":
            print("the store was exchanged: hand NOTHING in again before an operator has said what was sent", file=sys.stderr)
            sys.exit(3)
        if is_final(status, answer):
            return answer
        if tried + 1 < TRIES:
            time.sleep(2**tried if after is None else after)
    print("nobody knows whether it was taken: hand it in again later, with the same key", file=sys.stderr)
    sys.exit(1)


def show(result):
    if "id" in result and "errors" not in result and "type" not in result:
        return print(result["status"], result["id"])
    for error in result.get("errors") or [{"field": "request", "problem": result.get("detail"), "remedy": "see docs/api.md"}]:
        # Of key-conflict and key-taken the message that has the key has an id: look it up before you think of a new key.
        print(f"refused {error['field']}: {error['problem']}; {error['remedy']}", error.get("id", ""))


# The key is yours: system, purpose, number in your own database. It and the time are stored there before the first try: the same
# message always gets the same ones.
sender, recipient, key, send_by = sys.argv[1:]
message = {"from": sender, "to": recipient, "text": "Your appointment is tomorrow at 10:00.", "send_by": send_by}
one = enqueue({**message, "key": key})
show(one)
many = enqueue({"messages": [{**message, "key": key + "-b"}, {**message, "to": "12", "key": key + "-c"}]})
for result in many.get("results", [many]):
    show(result)
if "type" in one or "type" in many:
    sys.exit(2)
status, _, found = call("GET", "/v1/messages/" + one["id"])
if status == 200 and "id" in found:
    print(found["id"], "is", found["status"] + ":", (found["eta"] or found["why"][0])["text"])
