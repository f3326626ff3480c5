"""A proxy in front of the API that is away, loses the answer to what has gone through, or puts another one in its place."""

import http.client
import http.server
import json
import threading

AWAY, LOSE, PASS = "away", "lose", "pass"
# Answers in the place of the API's own, to what has gone through: status and body.
REPLACED = 503, {"type": "urn:ringfleet:problem:store-replaced", "title": "", "status": 503, "detail": ""}
UNSETTLED = 200, {"accepted": 0, "duplicates": 0, "refused": 0, "not_taken": 1, "unknown": 0, "results": []}
# What gateways, balancers and login pages say; none of it is the API's word on what was handed in.
FOREIGN = [(500, {"message": "Internal server error"}), (403, {"type": "about:blank"}), (302, {"id": "x"}), (200, {})]
# The API lies behind this path there.
PATH = "/texts"


class Proxy:
    """Does with each `POST` what `plan` says, in turn, and with those behind it the last of it. `bodies` are those of all."""

    def __init__(self, test, address, plan):
        self.bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(inner):
                body = inner.rfile.read(int(inner.headers["Content-Length"]))
                self.bodies.append(body)
                wish = plan[min(len(self.bodies), len(plan)) - 1]
                if wish == AWAY:
                    return inner.answer(503, {"Content-Type": "application/problem+json", "Retry-After": "1"}, b"{}")
                answer = inner.ask(body)
                # The store has it by now. Of a lost one the connection ends without a byte.
                if wish == PASS:
                    inner.answer(*answer)
                elif wish != LOSE:
                    status, told = wish
                    inner.answer(status, {"Content-Type": "application/json"}, json.dumps(told).encode())

            def do_GET(inner):
                inner.answer(*inner.ask(None))

            def ask(inner, body):
                if not inner.path.startswith(PATH + "/v1/"):
                    return 404, {"Content-Type": "application/json"}, b"{}"
                connection = http.client.HTTPConnection(address, timeout=30)
                headers = {name: inner.headers[name] for name in ("Authorization", "Content-Type")}
                connection.request(inner.command, inner.path[len(PATH) :], body, headers)
                answer = connection.getresponse()
                kept = {name: answer.headers[name] for name in ("Content-Type", "Retry-After") if name in answer.headers}
                told = answer.status, kept, answer.read()
                connection.close()
                return told

            def answer(inner, status, headers, body):
                inner.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    inner.send_header(name, value)
                inner.end_headers()
                inner.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        test.addCleanup(server.server_close)
        test.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        # With the slash at its end that people leave there.
        self.url = f"http://127.0.0.1:{server.server_port}{PATH}/"
