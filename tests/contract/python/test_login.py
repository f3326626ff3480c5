"""The official Python client logs a person in by authorization code, and does with that session what a fleet does besides sending.

See test_contract.py; the extension is another one.
"""

import base64
import hashlib
import html
import http.server
import json
import queue
import re
import secrets
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request

from test_contract import SIMULATOR
from ringcentral import SDK
from ringcentral.http.api_exception import ApiException

REDIRECT_URI = "http://127.0.0.1:9/python"
CUSTOMER = "+15550200088"


def admin(method, path, body):
    request = urllib.request.Request(
        SIMULATOR["admin_url"] + path,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


class StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def sign_in(url, login, password):
    """Fills in the form behind `url` and returns the query that the browser is sent away with."""
    with urllib.request.urlopen(url, timeout=10) as page:
        text = page.read().decode()
    form = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', text))
    form = {name: html.unescape(value) for name, value in form.items()}
    form.update(login=login, password=password, decision="allow")
    action = urllib.parse.urljoin(url, re.search(r'action="([^"]*)"', text).group(1))
    try:
        urllib.request.build_opener(StayHere).open(action, urllib.parse.urlencode(form).encode(), timeout=10)
    except urllib.error.HTTPError as redirect:
        location = redirect.headers["Location"]
        assert redirect.code == 302 and location.startswith(REDIRECT_URI), redirect.read()
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
    raise AssertionError("the person was sent nowhere")


class Webhook(http.server.BaseHTTPRequestHandler):
    told = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        validation = self.headers.get("Validation-Token")
        if validation:
            self.send_header("Validation-Token", validation)
        else:
            self.told.put((self.headers["Verification-Token"], json.loads(body)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Login(unittest.TestCase):
    def test_logs_in_by_code_refreshes_reads_the_call_log_and_subscribes(self):
        admin("PATCH", "/app", {"redirect_uris": [REDIRECT_URI]})
        with urllib.request.urlopen(SIMULATOR["accounts_url"] + "?passwords=true", timeout=10) as answer:
            account = json.load(answer)[5]
        sdk = SDK(SIMULATOR["client_id"], SIMULATOR["client_secret"], SIMULATOR["base_url"])
        platform = sdk.platform()
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        # This client's own `login_url` fails, because its module does not import what it uses.
        parameters = {
            "response_type": "code",
            "client_id": SIMULATOR["client_id"],
            "redirect_uri": REDIRECT_URI,
            "state": "x y",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        url = SIMULATOR["base_url"] + "/restapi/oauth/authorize?" + urllib.parse.urlencode(parameters)
        back = sign_in(url, account["extension_number"], account["password"])
        self.assertEqual(back["state"], "x y")
        with self.assertRaises(ApiException) as refused:
            platform.login(code=back["code"], redirect_uri=REDIRECT_URI, verifier="another")
        self.assertEqual(refused.exception.api_response().json_dict()["errors"][0]["errorCode"], "OAU-106")
        platform.login(code=back["code"], redirect_uri=REDIRECT_URI, verifier=verifier)
        self.assertEqual(platform.auth().data()["owner_id"], account["extension_id"])
        platform.refresh()

        log = platform.get("/restapi/v1.0/account/~/extension/~/call-log", {"perPage": 4, "view": "Detailed"}).json_dict()
        self.assertEqual(len(log["records"]), 4)
        self.assertTrue(log["records"][0]["legs"])

        server = http.server.HTTPServer(("127.0.0.1", 0), Webhook)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        texts = "/restapi/v1.0/account/~/extension/~/message-store?type=SMS&direction=Inbound"
        made = platform.post(
            "/restapi/v1.0/subscription",
            {
                "eventFilters": [texts],
                "deliveryMode": {
                    "transportType": "WebHook",
                    "address": f"http://127.0.0.1:{server.server_port}/",
                    "verificationToken": "secret",
                },
                "expiresIn": 600,
            },
        ).json_dict()
        arrived = admin("POST", f"/extensions/{account['extension_id']}/inbound", {"from": CUSTOMER, "text": "hello"})
        token, told = Webhook.told.get(timeout=10)
        self.assertEqual((token, told["subscriptionId"]), ("secret", made["id"]))
        self.assertEqual(told["body"]["changes"][0]["newMessageIds"], [arrived["id"]])
        platform.delete(f"/restapi/v1.0/subscription/{made['id']}")
        platform.logout()


if __name__ == "__main__":
    unittest.main()
