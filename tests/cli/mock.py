# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the server on a TCP port: answers tasks from a script of failures, to test what the command line does
with them. `fails` maps a ticket's id to the answers it gets before the good one: (status, code, headers), or "drop"
to close the connection. Threads: one a connection."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Mock:
    def __init__(self, fails=None):
        self.fails = {k: list(v) for k, v in (fails or {}).items()}
        self.asked = []
        self.keys = {}
        self.lock = threading.Lock()
        mock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def reply(self, status, value, headers=()):
                body = json.dumps(value).encode()
                self.send_response(status)
                for name, text in headers:
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.path == "/health":
                    return self.reply(200, {"status": "ok"})
                if self.path == "/api/v1/workflows/w":
                    return self.reply(200, {"name": "w"})
                self.reply(404, {"error": {"message": "there is no such path", "code": "not_found", "hint": "Look."}})

            def do_POST(self):
                ask = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = mock.answer(ask, self.headers.get("Idempotency-Key"))
                if answer == "drop":
                    self.close_connection = True
                    return self.connection.close()
                self.reply(*answer)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, ask, key):
        ticket = ask["input"]["id"]
        with self.lock:
            self.asked.append(ask)
            self.keys.setdefault(ticket, set()).add(key)
            if self.fails.get(ticket):
                fail = self.fails[ticket].pop(0)
                if fail == "drop":
                    return fail
                status, code, headers = fail
                return status, {"error": {"message": f"it failed with {code}", "code": code, "hint": "Wait."}}, headers
        field = {"name": "queue", "type": "choice", "value": "billing", "confidence": 0.9, "rung": "learned",
                 "proposed_by": "learned", "candidates": [{"value": "billing", "p": 0.9}], "checks": []}
        return 200, {"id": "tsk_1", "artifact": None, "input_id": ticket, "state": "done", "fields": [field], "draft": None,
                     "releases": {}, "tokens_in": 7, "tokens_cached": 0, "tokens_out": 1, "ms": 1.5, "cost": "0"}, ()

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
