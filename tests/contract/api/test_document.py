"""docs/openapi.json is an OpenAPI document, the API serves it, and every answer to calls made from it is as it says."""

import copy
import json
import os
import re
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema_rs
from openapi_spec_validator import OpenAPIV31SpecValidator
from rig import KEY, READ_KEY, ROOT, Fleet, ended, simulator

DOCUMENT = json.loads((ROOT / "docs/openapi.json").read_text())
# Of names that this machine has not, bodies that end early or are too large, and stores in trouble: tests in Rust have those. And of
# keys that may only read, which have a test of their own.
FAULTS = {"403", "408", "413", "500", "503"}
# By a key, and nothing beside it, that no message has.
RARE = {("get", "/v1/messages", "404")}
CONFIG = Path(__file__).with_name("schemathesis.toml")


# What stands for a word that is not known yet: last in an `anyOf`, behind those that are.
OPEN = {"string": [], ("string", "null"): [{"type": "null"}]}


def sealed(part, alone=True):
    """Schemas of answers without room for fields and words that they don't name. Clients take those; here they are a fault.

    `alone` is false of what is only together with others the whole.
    """
    if isinstance(part, list):
        return [sealed(one, alone) for one in part]
    if not isinstance(part, dict):
        return part
    *known, others = part.get("anyOf", [{}])
    kind = others.get("type")
    kind = tuple(kind) if isinstance(kind, list) else kind
    if known and others.keys() == {"type"} and kind in OPEN:
        part = {**part, "anyOf": known + OPEN[kind]}
    part = {name: sealed(inner, name != "allOf") for name, inner in part.items()}
    if alone and ("allOf" in part or part.get("$ref", "").startswith("#/components/schemas/")):
        part["unevaluatedProperties"] = False
    return part


def strict():
    document = copy.deepcopy(DOCUMENT)
    components = document["components"]
    for operations in document["paths"].values():
        for method in operations.keys() - {"parameters"}:
            operations[method]["responses"] = sealed(operations[method]["responses"])
    components["responses"] = sealed(components["responses"])
    # Those of requests are strict as they are.
    answers = {name for name, schema in components["schemas"].items() if "additionalProperties" not in schema}
    components["schemas"].update({name: sealed(components["schemas"][name]) for name in answers})
    return document


def for_test(senders, taken, ids):
    """`taken` is a message that was taken, `ids` those of messages whose states are known: whatever the chances, each is asked for,
    taken back, and met again by another one under its key."""
    document = strict()
    components = document["components"]
    components["parameters"]["MessageId"]["examples"] = {name: {"value": one} for name, one in ids.items()}
    bodies = document["paths"]["/v1/messages"]["post"]["requestBody"]["content"]
    # The tester can't write them; they have a test of their own.
    del bodies["application/x-ndjson"]
    post = bodies["application/json"]
    again = {"same": taken, "other": {**taken, "to": "+15550200009"}, "many": {"messages": [taken]}}
    post["examples"] = {name: {"value": one} for name, one in again.items()}
    # Of names at random the fleet knows none, times at random are past or too far ahead, and keys at random never meet.
    hours = [(datetime.now(timezone.utc) + timedelta(hours=hours)).isoformat() for hours in (1, 2)]
    keys = [None, "contract-1", "contract-2"]
    changed = {"from": senders, "send_at": [None, hours[0]], "send_by": [None, hours[1]], "key": keys}
    components["schemas"]["NewMessage"]["properties"].update({name: {"enum": some} for name, some in changed.items()})
    return document


def worded(part, name=None):
    """All schemas of the document that name the values there are, with the key behind which each stands."""
    if isinstance(part, list):
        for one in part:
            yield from worded(one, name)
    elif isinstance(part, dict):
        if "enum" in part or "const" in part:
            yield name, part
        for key, inner in part.items():
            yield from worded(inner, key)


def media_types(part):
    """All objects of the document that have a schema and examples of it."""
    if isinstance(part, list):
        for one in part:
            yield from media_types(one)
    elif isinstance(part, dict):
        if "schema" in part and ("example" in part or "examples" in part):
            yield part
        for inner in part.values():
            yield from media_types(inner)


def answered(har):
    """Method, path of the document and status of each call that a HAR file holds."""
    for entry in json.loads(har.read_text())["log"]["entries"]:
        path = re.sub("^/v1/messages/[^/]*$", "/v1/messages/{id}", urlsplit(entry["request"]["url"]).path)
        yield entry["request"]["method"].lower(), path, str(entry["response"]["status"])


class Document(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        told, file = simulator(cls, extensions=3)
        cls.accounts = json.loads(file.read_text())
        cls.fleet = Fleet(cls, "up", told, file)

    def call(self, path, body=None):
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        data = body and json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.fleet.address}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def sent(self, message):
        """Its id, once it can't be taken back any more."""
        id = self.call("/v1/messages", message)["id"]
        end = time.monotonic() + 30
        while self.call(f"/v1/messages/{id}")["status"] not in ("sent", "delivered"):
            self.assertLess(time.monotonic(), end, "it is not sent")
            time.sleep(0.05)
        return id

    def test_it_is_an_openapi_document(self):
        OpenAPIV31SpecValidator(DOCUMENT).validate()

    def test_its_examples_are_as_its_schemas_say(self):
        checked = 0
        document = strict()
        for media in media_types(document):
            schema = {**sealed(media["schema"]), "components": document["components"]}
            examples = [example["value"] for example in media.get("examples", {}).values()]
            for example in examples + [media[name] for name in ("example",) if name in media]:
                jsonschema_rs.validator_for(schema).validate(example)
                checked += 1
        self.assertGreater(checked, 15)

    def test_words_have_a_type_and_those_of_answers_may_become_more(self):
        found = list(worded(DOCUMENT))
        self.assertEqual([schema for _, schema in found if "type" not in schema], [])
        # Of requests: what may be asked for is what this API knows.
        closed = {name for name, schema in found if "enum" in schema and name != "anyOf"}
        self.assertEqual(closed, {"Priority", "OnUnknown", "ListedStatus"})
        status = DOCUMENT["components"]["schemas"]["Status"]
        self.assertTrue(jsonschema_rs.is_valid(status, "asleep"))
        self.assertFalse(jsonschema_rs.is_valid(sealed(status), "asleep"), "a test would not notice it")

    def test_it_is_served_as_it_lies_here(self):
        with urllib.request.urlopen(f"http://{self.fleet.address}/v1/openapi.json", timeout=10) as answer:
            self.assertTrue(json.load(answer) == DOCUMENT)

    def test_lines_are_answered_as_the_document_says(self):
        message = {"from": self.accounts[0]["numbers"][0], "to": "+15550200002", "text": "Please call us back."}
        lines = [json.dumps({**message, "key": "contract-line-1"}), "", "{", json.dumps({**message, "to": "+1"}), json.dumps(message)]
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-ndjson"}
        request = urllib.request.Request(f"http://{self.fleet.address}/v1/messages", "\n".join(lines).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            kind, told = answer.headers["Content-Type"], [json.loads(line) for line in answer.read().splitlines()]
        document = strict()
        media = document["paths"]["/v1/messages"]["post"]["responses"]["200"]["content"][kind]
        jsonschema_rs.validator_for({**media["schema"], "components": document["components"]}).validate(told)
        expected = [(1, "accepted"), (3, "refused"), (4, "refused"), (5, "accepted")]
        self.assertEqual([(one["line"], one["status"]) for one in told], expected)

    def test_a_key_that_may_only_read_is_refused_wherever_the_document_asks_for_one_that_may_send(self):
        document, refused = strict(), 0
        forbidden = document["components"]["responses"]["NotAllowed"]["content"]["application/problem+json"]["schema"]
        check = jsonschema_rs.validator_for({**forbidden, "components": document["components"]})
        for path, operations in DOCUMENT["paths"].items():
            for method, operation in operations.items():
                if method == "parameters":
                    continue
                url = f"http://{self.fleet.address}{path.replace('{id}', 'msg_00000000000000000000000000')}"
                request = urllib.request.Request(url, headers={"X-Api-Key": READ_KEY}, method=method.upper())
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        status, told = answer.status, None
                except urllib.error.HTTPError as error:
                    with error:
                        status, told = error.code, json.load(error)
                schemes = operation.get("security", DOCUMENT["security"])
                roles = {role for scheme in schemes for roles in scheme.values() for role in roles}
                with self.subTest(method=method, path=path):
                    self.assertEqual(status == 403, roles == {"send"}, told)
                    self.assertNotEqual(status, 401)
                    if status == 403:
                        check.validate(told)
                        self.assertEqual(told["type"], "urn:ringfleet:problem:read-only-key")
                        refused += 1
        self.assertGreater(refused, 3)

    def test_every_answer_is_as_the_document_says(self):
        senders = [name for account in self.accounts for name in (account["numbers"][0], account["extension_id"])]
        taken = {"from": senders[0], "to": "+15550200002", "text": "Your appointment is tomorrow at 10:00.", "key": "contract-1"}
        later = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
        waiting = {**taken, "send_at": later, "key": "contract-waits"}
        ids = {"sent": self.sent(taken), "waiting": self.call("/v1/messages", waiting)["id"]}
        with tempfile.TemporaryDirectory() as folder:
            file, har = Path(folder, "openapi.json"), Path(folder, "calls.har")
            file.write_text(json.dumps(for_test(senders, taken, ids)))
            command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", str(file), "--no-color"]
            command += ["--url", f"http://{self.fleet.address}", "--report", "har", "--report-har-path", str(har)]
            run = ended(command, cwd=folder, env={**os.environ, "KEY": KEY}, timeout=240, stdout=None, stderr=None)
            self.assertEqual(run.returncode, 0, "schemathesis tells above what is wrong, and how to repeat it")
            seen = set(answered(har))
        known = {
            (method, path, status)
            for path, operations in DOCUMENT["paths"].items()
            for method, operation in operations.items()
            if method != "parameters"
            for status in operation["responses"].keys() - FAULTS
        }
        self.assertEqual(known - seen - RARE, set(), "no call was answered so, and what the document says of it was not checked")


if __name__ == "__main__":
    unittest.main()
