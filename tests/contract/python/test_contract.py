"""What the official Python client does against the simulator. It must not be able to tell it from RingCentral.

`SIMULATOR` holds the JSON line that the simulator prints at start. It needs ten extensions, RingCentral's default plan and
refresh tokens. The Auth plan allows five logins a minute for each user, so each test has an extension of its own.
"""

import json
import os
import unittest
import urllib.request

from ringcentral import SDK
from ringcentral.http.api_exception import ApiException

SIMULATOR = json.loads(os.environ["SIMULATOR"])
HEAVY_LIMIT = 10


def accounts():
    with urllib.request.urlopen(SIMULATOR["accounts_url"], timeout=10) as answer:
        return json.load(answer)


def log_in(account):
    sdk = SDK(SIMULATOR["client_id"], SIMULATOR["client_secret"], SIMULATOR["base_url"])
    platform = sdk.platform()
    platform.login(jwt=account["jwt"])
    return platform


def sms(sender, recipient, text):
    return {"from": {"phoneNumber": sender}, "to": [{"phoneNumber": recipient}], "text": text}


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.accounts = accounts()

    def test_logs_in_refreshes_sends_and_reads_back(self):
        account = self.accounts[4]
        platform = log_in(account)
        first = platform.auth().data()
        self.assertEqual(first["owner_id"], account["extension_id"])
        platform.refresh()
        self.assertNotEqual(platform.auth().data()["access_token"], first["access_token"])

        me = platform.get("/restapi/v1.0/account/~/extension/~").json_dict()
        self.assertEqual(str(me["id"]), account["extension_id"])
        company = platform.get("/restapi/v1.0/account/~").json_dict()
        self.assertEqual(str(company["id"]), account["account_id"])
        numbers = platform.get("/restapi/v1.0/account/~/extension/~/phone-number").json_dict()
        self.assertIn("SmsSender", numbers["records"][0]["features"])

        answer = platform.post(
            "/restapi/v1.0/account/~/extension/~/sms",
            sms(account["numbers"][0], "+15550200005", "Grüße from Python"),
        )
        self.assertEqual(answer.response().status_code, 200)
        self.assertEqual(answer.response().headers["X-Rate-Limit-Group"], "medium")
        sent = answer.json_dict()
        self.assertEqual(sent["messageStatus"], "Queued")

        # This client leaves the plus sign of a query as it is.
        listed = platform.get(
            "/restapi/v1.0/account/~/extension/~/message-store",
            {"phoneNumber": "+15550200005", "direction": "Outbound", "messageType": "SMS"},
        ).json_dict()
        self.assertEqual([record["id"] for record in listed["records"]], [sent["id"]])
        read = platform.get(f"/restapi/v1.0/account/~/extension/~/message-store/{sent['id']}").json_dict()
        self.assertEqual(read["subject"], "Grüße from Python")
        platform.logout()

    def test_a_colleagues_number_is_refused(self):
        platform = log_in(self.accounts[5])
        with self.assertRaises(ApiException) as refused:
            platform.post(
                "/restapi/v1.0/account/~/extension/~/sms",
                sms(self.accounts[4]["numbers"][0], "+15550200006", "not mine"),
            )
        response = refused.exception.api_response()
        self.assertEqual(response.response().status_code, 403)
        body = json.loads(response.text())
        self.assertEqual(body["errorCode"], "FeatureNotAvailable")
        self.assertEqual(body["errors"][0]["errorCode"], "MSG-304")

    def test_the_rate_limit_is_met(self):
        platform = log_in(self.accounts[6])
        for _ in range(HEAVY_LIMIT):
            platform.get("/restapi/v1.0/account/~/phone-number?perPage=1000")
        with self.assertRaises(ApiException) as refused:
            platform.get("/restapi/v1.0/account/~/phone-number?perPage=1000")
        response = refused.exception.api_response().response()
        self.assertEqual(response.status_code, 429)
        self.assertEqual(response.headers["Retry-After"], "60")
        self.assertEqual(response.json()["errorCode"], "CMN-301")


if __name__ == "__main__":
    unittest.main()
