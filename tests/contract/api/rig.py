"""A simulated RingCentral and Ringfleets over SQLite, each a process of its own on a free port, for the tests of the API.

`RINGFLEET` names the program.
"""

import json
import os
import queue
import re
import secrets
import signal
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = os.path.abspath(os.environ["RINGFLEET"])
# One that may do everything, and one that may only read.
KEY, READ_KEY = secrets.token_hex(24), secrets.token_hex(24)
START_DEADLINE = 30
# What was started here and has not ended.
RUNNING = set()


def end_all(number, frame):
    """No test's clean-up runs when the whole is ended from outside."""
    for process in list(RUNNING):
        process.kill()
    os._exit(128 + number)


signal.signal(signal.SIGTERM, end_all)


def started(command, **how):
    process = subprocess.Popen(command, text=True, **how)
    RUNNING.add(process)
    return process


def ended(command, timeout, **how):
    """What it printed, all in one, and its code, once it has ended."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **how}
    with started(command, **how) as process:
        try:
            told, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
            RUNNING.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, told)


class Process:
    """`ringfleet`, until the test that started it has ended. `told(pattern)` waits for a line of its output."""

    def __init__(self, test, *words, **settings):
        folder = tempfile.TemporaryDirectory()
        test.addClassCleanup(folder.cleanup)
        # Neither the settings of whoever runs the tests nor a file of theirs count here.
        env = {name: value for name, value in os.environ.items() if not name.startswith("RINGFLEET__")}
        settings = {"store__data_dir": folder.name, "metrics__listen": "", **settings}
        env.update({f"RINGFLEET__{name.upper()}": value for name, value in settings.items()})
        self.place = {"cwd": folder.name, "env": env}
        self.process = started([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **self.place)
        self.lines = queue.Queue()
        # A read from a pipe has no deadline, and a full pipe would hold the process up.
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        test.addClassCleanup(self.end)

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def told(self, pattern):
        seen = []
        while True:
            line = self.lines.get(timeout=START_DEADLINE)
            if line is None:
                raise AssertionError("it ended at once: " + "".join(seen))
            seen.append(line)
            found = re.search(pattern, line)
            if found:
                return found[1]

    def end(self):
        self.process.kill()
        self.process.wait()
        RUNNING.discard(self.process)
        self.reader.join()
        self.process.stdout.close()


class Fleet(Process):
    """`role` is `up` for a fleet that sends, `api` for one in which messages stay where they are."""

    def __init__(self, test, role, simulator, accounts):
        super().__init__(
            test,
            role,
            api__listen="127.0.0.1:0",
            api__keys=KEY,
            api__read_keys=READ_KEY,
            ringcentral__server=simulator["base_url"],
            ringcentral__client_id=simulator["client_id"],
            ringcentral__client_secret=simulator["client_secret"],
            ringcentral__accounts_file=str(accounts),
        )
        self.address = self.told(r"api listens.*?(127\.0\.0\.1:\d+)")

    def asked(self, *words):
        """What a command that prints JSON says of this fleet."""
        return json.loads(subprocess.check_output([PROGRAM, *words, "--json"], timeout=30, **self.place))


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
