"""Hands texts in to Ringfleet so that a lost answer makes no second text. Python 3.8 or newer, nothing else.

    RINGFLEET_URL=http://127.0.0.1:8480 RINGFLEET_API_KEY=… python3 client.py +15550100001 +15550200002 crm-reminder-4712
"""

import http.client
import json
import os
import sys
import time
from urllib.parse import urlsplit

URL = urlsplit(os.environ.get("RINGFLEET_URL", "http://127.0.0.1:8480"))
HEADERS = {"Authorization": "Bearer " + os.environ["RINGFLEET_API_KEY"], "Content-Type": "application/json"}
TRIES = 5


def call(method, path, body=None):
    """Status, headers and body of the answer. http.client follows no redirect, and repeats nothing by itself."""
    connect = http.client.HTTPSConnection if URL.scheme == "https" else http.client.HTTPConnection
    connection = connect(URL.netloc, timeout=90)
    try:
        connection.request(method, path, body, HEADERS)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    finally:
        connection.close()


def enqueue(body):
    # SEND-SAFETY: each try sends the same bytes, and so the same keys: what was taken by a try whose answer was lost is answered
    # with "duplicate", and the customer gets one text. A new key for each try would be a new text for each try.
    body = json.dumps(body).encode()
    for tried in range(TRIES):
        wait = 2**tried
        try:
            status, headers, answer = call("POST", "/v1/messages", body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            print("no answer that can be read:", type(error).__name__, file=sys.stderr)
        else:
            unsettled = status == 200 and answer["not_taken"] + answer["unknown"] > 0
            if not unsettled and status not in (408, 429, 502, 503, 504):
                return status, answer
            if answer.get("type", "").endswith(":store-replaced"):
                break  # Coming back does not help: an operator must act first.
            after = headers.get("Retry-After", "")
            wait = min(int(after), 60) if after.isdigit() else wait
        time.sleep(wait if tried + 1 < TRIES else 0)
    sys.exit("nobody knows whether it was taken: hand it in again later, with the same key")


def show(result):
    if "id" in result and "errors" not in result:
        return print(result["status"], result["id"])
    for error in result.get("errors") or [{"field": "request", "problem": result.get("detail"), "remedy": "see docs/api.md"}]:
        # Of key-conflict and key-taken the message that has the key has an id: look it up before you think of a new key.
        print(f"refused {error['field']}: {error['problem']}; {error['remedy']}", error.get("id", ""))


sender, recipient, key = sys.argv[1:]
message = {"from": sender, "to": recipient, "text": "Your appointment is tomorrow at 10:00."}
# The key is yours: system, purpose, number in your own database. The same message always gets the same one.
status, one = enqueue({**message, "key": key})
show(one)
status, many = enqueue({"messages": [{**message, "key": key + "-b"}, {**message, "to": "12", "key": key + "-c"}]})
for result in many.get("results", [many]):
    show(result)
if "id" in one:
    _, _, found = call("GET", "/v1/messages/" + one["id"])
    print(found["id"], "is", found["status"] + ":", (found["eta"] or found["why"][0])["text"])
