"""What the official library of Standard Webhooks makes of the callbacks of a running `ringfleet up`.

`SIMULATOR` holds the JSON line that the simulator prints at start, `RINGFLEET` the path of the program.
"""

import http.server
import json
import os
import pathlib
import queue
import subprocess
import tempfile
import threading
import unittest
import urllib.request

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SIMULATOR = json.loads(os.environ["SIMULATOR"])
OLD = "whsec_b2xkIHNlY3JldCBvZiB0d2VudHktZm91cisgYnl0ZXM="
NEW = "whsec_bmV3IHNlY3JldCBvZiB0d2VudHktZm91cisgYnl0ZXM="
STRANGERS = "whsec_c3RyYW5nZXIncyBzZWNyZXQgb2YgdHdlbnR5LWZvdXIrIGJ5dGVz"
RECIPIENT = "+15550200008"
SECONDS = 30


class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.came.put((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Callbacks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ringfleet-callbacks-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        with urllib.request.urlopen(SIMULATOR["accounts_url"], timeout=10) as answer:
            self.account = json.load(answer)[8]
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.server.came = queue.Queue()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        (self.folder / "secrets").write_text(f"# the old one\n{OLD}\n{NEW}\n")
        (self.folder / "accounts.json").write_text(json.dumps([self.account]))
        row = f"{self.account['numbers'][0]},{RECIPIENT},Your appointment is tomorrow.,callbacks-python"
        (self.folder / "reminders.csv").write_text(f"from,to,text,key\n{row}\n")
        self.environment = os.environ | {
            "RINGFLEET__STORE__URL": f"sqlite:{self.folder}/fleet.db",
            "RINGFLEET__STORE__DATA_DIR": str(self.folder),
            "RINGFLEET__RINGCENTRAL__SERVER": SIMULATOR["base_url"],
            "RINGFLEET__RINGCENTRAL__CLIENT_ID": SIMULATOR["client_id"],
            "RINGFLEET__RINGCENTRAL__CLIENT_SECRET": SIMULATOR["client_secret"],
            "RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE": f"{self.folder}/accounts.json",
            "RINGFLEET__DIRECTORY__REFRESH": "off",
            "RINGFLEET__API__LISTEN": "127.0.0.1:0",
            "RINGFLEET__METRICS__LISTEN": "",
            "RINGFLEET__CALLBACKS__URL": f"http://127.0.0.1:{self.server.server_port}/ringfleet",
            "RINGFLEET__CALLBACKS__SECRET_FILE": f"{self.folder}/secrets",
        }

    def start(self, *words):
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        child = subprocess.Popen([os.environ["RINGFLEET"], *words], env=self.environment, cwd=self.folder, **silent)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def do(self, *words):
        self.assertEqual(self.start(*words).wait(timeout=SECONDS), 0, words)

    def callback(self, kind):
        while True:
            headers, body = self.server.came.get(timeout=SECONDS)
            if json.loads(body)["type"] == kind:
                return headers, body

    def test_is_verified_by_either_secret_and_not_by_another_or_when_changed(self):
        self.do("callbacks", "test")
        headers, body = self.callback("test")
        self.assertEqual(Webhook(OLD).verify(body, headers)["type"], "test")

        self.start("up")
        self.do("import", "reminders.csv")
        headers, body = self.callback("messages.changed")
        for secret in (OLD, NEW):
            (message,) = Webhook(secret).verify(body, headers)["data"]["messages"]
            self.assertIn(message["status"], ("sent", "delivered"))
            self.assertEqual(message["extension"], self.account["extension_id"])
        self.assertNotIn(RECIPIENT, body)
        self.assertNotIn("appointment", body)
        with self.assertRaises(WebhookVerificationError):
            Webhook(STRANGERS).verify(body, headers)
        with self.assertRaises(WebhookVerificationError):
            Webhook(NEW).verify(body.replace("msg_", "msg-"), headers)


if __name__ == "__main__":
    unittest.main()
