"""The clients of examples/clients, run as a reader would run them: an answer is lost, the API is away, a message is refused.

They end with 0, 1 (nobody knows whether it was taken), 2 (refused) or 3 (the store was exchanged).
"""

import json
import os
import re
import unittest
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import groupby

from proxy import AWAY, FOREIGN, LOSE, PASS, REPLACED, UNSETTLED, Proxy
from rig import KEY, ROOT, Fleet, ended, simulator

CLIENTS = {
    "Python": ["python3", "client.py"],
    "Node": ["node", "client.mjs"],
    "PHP": ["php", "client.php"],
    "shell": ["sh", "client.sh"],
}
ID = "msg_[0-9A-Z]{26}"
# The same in each run, as one that is stored beside the key.
SEND_BY = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        told, file = simulator(cls, extensions=len(cls.BEHAVIOURS) * len(CLIENTS))
        cls.accounts = json.loads(file.read_text())
        # Without a worker: whatever was taken waits, and is counted.
        cls.fleet = Fleet(cls, "api", told, file)

    def run_client(self, name, account, url, to="+15550200002"):
        command = [*CLIENTS[name], account["numbers"][0], to, f"crm-reminder-{account['extension_id']}", SEND_BY]
        env = {**os.environ, "RINGFLEET_URL": url, "RINGFLEET_API_KEY": KEY}
        return ended(command, cwd=ROOT / "examples/clients", env=env, timeout=120)

    def waiting(self, account):
        return self.fleet.asked("explain", account["extension_id"])["ready"]

    def a_lost_answer_and_an_api_that_is_away_make_no_second_text(self, name, account):
        proxy = Proxy(self, self.fleet.address, [AWAY, LOSE, PASS, LOSE, PASS])
        run = self.run_client(name, account, proxy.url)
        self.assertEqual(run.returncode, 0, run.stdout)
        # One message; and of the list one that is good, and one that is not.
        self.assertEqual(len(re.findall(f"(?m)^duplicate {ID}$", run.stdout)), 2, run.stdout)
        self.assertRegex(run.stdout, r"(?m)^refused to: .*is not E\.164.*; write \+ and 7 to 15 digits")
        self.assertRegex(run.stdout, f"(?m)^{ID} is ready: it goes ")
        self.assertEqual((self.waiting(account), len(proxy.bodies)), (2, 5))
        self.assertEqual((len(set(proxy.bodies[:3])), len(set(proxy.bodies[3:]))), (1, 1), "a repeat is the same request")

    def what_something_on_the_way_says_is_no_answer(self, name, account):
        proxy = Proxy(self, self.fleet.address, [*FOREIGN, PASS, FOREIGN[0], PASS])
        run = self.run_client(name, account, proxy.url)
        self.assertEqual((run.returncode, len(re.findall(f"(?m)^duplicate {ID}$", run.stdout))), (0, 2), run.stdout)
        self.assertEqual((self.waiting(account), len(proxy.bodies), len(set(proxy.bodies))), (2, 7, 2), run.stdout)

    def an_exchanged_store_gets_nothing_again(self, name, account):
        for plan, asked in ([REPLACED], 1), ([PASS, REPLACED], 2):
            proxy = Proxy(self, self.fleet.address, plan)
            run = self.run_client(name, account, proxy.url)
            self.assertEqual((run.returncode, len(proxy.bodies)), (3, asked), run.stdout)
            self.assertIn("hand NOTHING in again", run.stdout)
            self.assertNotIn("with the same key", run.stdout)

    def a_second_run_enqueues_nothing_and_a_key_that_is_taken_is_told_with_its_message(self, name, account):
        url = f"http://{self.fleet.address}"
        runs = [self.run_client(name, account, url) for _ in range(2)]
        first, second = (run.stdout for run in runs)
        ids = re.findall(f"(?m)^accepted ({ID})$", first)
        self.assertEqual(re.findall(f"(?m)^duplicate ({ID})$", second), ids, second)
        self.assertEqual((len(ids), self.waiting(account)), (2, 2))
        refused = self.run_client(name, account, url, to="+15550200003")
        self.assertRegex(refused.stdout, f"(?m)^refused key: .* {ids[0]} ?$")
        self.assertNotIn("accepted", refused.stdout)
        self.assertEqual([run.returncode for run in (*runs, refused)], [0, 0, 2], refused.stdout)

    def tries_are_bounded_and_what_may_not_be_taken_is_no_success(self, name, account):
        # A list of which not all was taken counts like no answer.
        for plan, tries in ([AWAY], [5]), ([PASS, UNSETTLED], [1, 5]):
            proxy = Proxy(self, self.fleet.address, plan)
            run = self.run_client(name, account, proxy.url)
            told = [len(list(same)) for _, same in groupby(proxy.bodies)]
            self.assertEqual((run.returncode, told), (1, tries), run.stdout)
            self.assertIn("with the same key", run.stdout)

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
        what_something_on_the_way_says_is_no_answer,
        an_exchanged_store_gets_nothing_again,
        a_second_run_enqueues_nothing_and_a_key_that_is_taken_is_told_with_its_message,
        tries_are_bounded_and_what_may_not_be_taken_is_no_success,
    ]


if __name__ == "__main__":
    unittest.main()
