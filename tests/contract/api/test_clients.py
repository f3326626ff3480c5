"""The clients of examples/clients, run as a reader would run them: an answer is lost, the API is away, a message is refused."""

import json
import os
import re
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

from proxy import AWAY, LOSE, PASS, Proxy
from rig import KEY, ROOT, Fleet, simulator

CLIENTS = {
    "Python": ["python3", "client.py"],
    "Node": ["node", "client.mjs"],
    "PHP": ["php", "client.php"],
    "shell": ["sh", "client.sh"],
}
ID = "msg_[0-9A-Z]{26}"


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        told, file = simulator(cls, extensions=len(cls.BEHAVIOURS) * len(CLIENTS))
        cls.accounts = json.loads(file.read_text())
        # Without a worker: whatever was taken waits, and is counted.
        cls.fleet = Fleet(cls, "api", told, file)

    def run_client(self, name, account, url, to="+15550200002"):
        command = [*CLIENTS[name], account["numbers"][0], to, f"crm-reminder-{account['extension_id']}"]
        env = {**os.environ, "RINGFLEET_URL": url, "RINGFLEET_API_KEY": KEY}
        return subprocess.run(
            command, cwd=ROOT / "examples/clients", env=env, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def waiting(self, account):
        return self.fleet.asked("explain", account["extension_id"])["ready"]

    def a_lost_answer_and_an_api_that_is_away_make_no_second_text(self, name, account):
        proxy = Proxy(self, self.fleet.address, [AWAY, LOSE, PASS, LOSE, PASS])
        ended = self.run_client(name, account, proxy.url)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        # One message; and of the list one that is good, and one that is not.
        self.assertEqual(len(re.findall(f"(?m)^duplicate {ID}$", ended.stdout)), 2, ended.stdout)
        self.assertRegex(ended.stdout, r"(?m)^refused to: .*is not E\.164.*; write \+ and 7 to 15 digits")
        self.assertRegex(ended.stdout, f"(?m)^{ID} is ready: it goes ")
        self.assertEqual((self.waiting(account), len(proxy.bodies)), (2, 5))
        self.assertEqual((len(set(proxy.bodies[:3])), len(set(proxy.bodies[3:]))), (1, 1), "a repeat is the same request")

    def a_second_run_enqueues_nothing_and_a_key_that_is_taken_is_told_with_its_message(self, name, account):
        url = f"http://{self.fleet.address}"
        first, second = (self.run_client(name, account, url).stdout for _ in range(2))
        ids = re.findall(f"(?m)^accepted ({ID})$", first)
        self.assertEqual(re.findall(f"(?m)^duplicate ({ID})$", second), ids, second)
        self.assertEqual((len(ids), self.waiting(account)), (2, 2))
        refused = self.run_client(name, account, url, to="+15550200003").stdout
        self.assertRegex(refused, f"(?m)^refused key: .* {ids[0]} ?$")
        self.assertNotIn("accepted", refused)

    def tries_are_bounded_and_what_may_not_be_taken_is_no_success(self, name, account):
        proxy = Proxy(self, self.fleet.address, [AWAY])
        ended = self.run_client(name, account, proxy.url)
        self.assertEqual((ended.returncode, len(proxy.bodies), len(set(proxy.bodies))), (1, 5, 1), ended.stdout)
        self.assertIn("with the same key", ended.stdout)

    def test_every_client(self):
        # All at once, since they mostly wait; each has an extension and keys of its own.
        with ThreadPoolExecutor(max_workers=len(CLIENTS) * len(self.BEHAVIOURS)) as pool:
            pairs = [(name, behaviour) for behaviour in self.BEHAVIOURS for name in CLIENTS]
            running = [pool.submit(behaviour, self, name, self.accounts.pop()) for name, behaviour in pairs]
            for (name, behaviour), done in zip(pairs, running):
                with self.subTest(behaviour.__name__, client=name):
                    done.result()

    BEHAVIOURS = [
        a_lost_answer_and_an_api_that_is_away_make_no_second_text,
        a_second_run_enqueues_nothing_and_a_key_that_is_taken_is_told_with_its_message,
        tries_are_bounded_and_what_may_not_be_taken_is_no_success,
    ]


if __name__ == "__main__":
    unittest.main()
