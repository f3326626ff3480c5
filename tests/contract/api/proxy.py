"""A proxy in front of the API that is away, or loses the answer to what has gone through."""

import http.client
import http.server
import threading

AWAY, LOSE, PASS = "away", "lose", "pass"


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
                # The store has it by now. The connection ends without a byte.
                if wish == PASS:
                    inner.answer(*answer)

            def do_GET(inner):
                inner.answer(*inner.ask(None))

            def ask(inner, body):
                connection = http.client.HTTPConnection(address, timeout=30)
                headers = {name: inner.headers[name] for name in ("Authorization", "Content-Type")}
                connection.request(inner.command, inner.path, body, headers)
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
        self.url = f"http://127.0.0.1:{server.server_port}"
