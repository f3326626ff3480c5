"""A simulated RingCentral and Ringfleets over SQLite, each a process of its own on a free port, for the tests of the API.

`RINGFLEET` names the program.
"""

import json
import os
import queue
import re
import secrets
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
KEY = secrets.token_hex(24)
START_DEADLINE = 30


class Process:
    """`ringfleet`, until the test that started it has ended. `told(pattern)` waits for a line of its output."""

    def __init__(self, test, *words, **settings):
        folder = tempfile.TemporaryDirectory()
        test.addClassCleanup(folder.cleanup)
        own = {f"RINGFLEET__{name.upper()}": value for name, value in settings.items()}
        self.env = {**os.environ, "RINGFLEET__STORE__DATA_DIR": folder.name, "RINGFLEET__METRICS__LISTEN": "", **own}
        self.process = subprocess.Popen(
            [os.environ["RINGFLEET"], *words], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        test.addClassCleanup(self.end)
        self.lines = queue.Queue()
        # A read from a pipe has no deadline, and a full pipe would hold the process up.
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def told(self, pattern):
        while True:
            found = re.search(pattern, self.lines.get(timeout=START_DEADLINE))
            if found:
                return found[1]

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Fleet(Process):
    """`role` is `up` for a fleet that sends, `api` for one in which messages stay where they are."""

    def __init__(self, test, role, simulator, accounts):
        super().__init__(
            test,
            role,
            api__listen="127.0.0.1:0",
            api__keys=KEY,
            ringcentral__server=simulator["base_url"],
            ringcentral__client_id=simulator["client_id"],
            ringcentral__client_secret=simulator["client_secret"],
            ringcentral__accounts_file=str(accounts),
        )
        self.address = self.told(r"api listens.*?(127\.0\.0\.1:\d+)|(?!)")

    def asked(self, *words):
        """What a command that prints JSON says of this fleet."""
        return json.loads(subprocess.check_output([os.environ["RINGFLEET"], *words, "--json"], env=self.env, timeout=30))


def simulator(test, extensions):
    """What it tells at its start, and the file of its accounts."""
    process = Process(test, "simulator", "--listen", "127.0.0.1:0", "--extensions", str(extensions))
    told = json.loads(process.told(r"^(\{.*\})$"))
    with urllib.request.urlopen(told["accounts_url"], timeout=10) as answer:
        accounts = answer.read()
    folder = tempfile.TemporaryDirectory()
    test.addClassCleanup(folder.cleanup)
    file = Path(folder.name, "accounts.json")
    file.write_bytes(accounts)
    return told, file
