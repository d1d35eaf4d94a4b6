#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model server that misbehaves on request, in OpenAI's shape and in Anthropic's. Loopback only.

  mock.py [--tls CERT KEY] [--log FILE]

Prints its port, then serves until its standard input ends. What it does is the `model` asked for: ok, slow, garbage,
html, half, long, once429, limited, redirect, huge, keybad, error500, reset, http09, refused, unknown, echo, json, peek, tools, deep,
once500, noend, errorevent, headers, bare, form (fills the JSON schema: the last of an enum, else the first placeholder of the text). Each request is one JSON line of the log: method, path, headers, body.
"""
import argparse
import http.server
import json
import re
import socket
import ssl
import sys
import threading
import time

LOCK = threading.Lock()
SEEN = {}
LONG = "The mock goes on and on. " * 40
CONNECTIONS = [0]


def times(model):
    with LOCK:
        SEEN[model] = SEEN.get(model, 0) + 1
        return SEEN[model]


def last_text(body):
    """The last user message's text, in either shape."""
    for m in reversed(body.get("messages", [])):
        if m.get("role") == "user":
            c = m["content"]
            return c if isinstance(c, str) else "".join(p.get("text", "") for p in c)
    return ""


def fill(body):
    """An answer under the schema that was asked for."""
    schema = body["response_format"]["json_schema"]["schema"]
    found = re.search(r"\[[A-Z]+_\d+\]", last_text(body))
    return json.dumps({name: p["enum"][-1] if "enum" in p else found.group() if found else ""
                       for name, p in schema["properties"].items()})


class Mock(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log = None

    def setup(self):
        with LOCK:
            CONNECTIONS[0] += 1
        super().setup()

    def log_message(self, *_):
        pass

    def note(self, body):
        if Mock.log:
            with LOCK:
                Mock.log.write(json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers.items()),
                                           "body": body}) + "\n")
                Mock.log.flush()

    def reply(self, status, body, headers=(), kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for k, v in headers:
            self.send_header(k, v)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.note(None)
        if self.path.endswith("/connections"):
            self.reply(200, {"connections": CONNECTIONS[0]})
        elif self.path.endswith("/models"):
            self.reply(200, {"object": "list", "data": []})
        else:
            self.reply(404, {"error": {"message": "no"}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.note(body)
        model = body.get("model", "ok")
        n = times(model)
        if self.trouble(model, n, body):
            return
        if self.path.endswith("/embeddings"):
            self.embeddings(body)
        elif self.path.endswith("/messages"):
            self.anthropic(model, body)
        else:
            self.openai(model, body)

    def trouble(self, model, n, body):
        """True when the answer was something else than an answer."""
        if model == "slow" or (model == "slow-once" and n == 1):
            time.sleep(20)
        elif model == "garbage":
            self.reply(200, b'{"choices": [{"message": {"content": ')
        elif model == "html":
            self.reply(200, b"<html>login here</html>", kind="text/html")
        elif model == "deep":
            self.reply(200, b"[" * 100000)
        elif model == "half" and not body.get("stream"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
        elif model == "once429" and n == 1:
            self.reply(429, {"error": {"message": "slow down"}}, [("Retry-After-Ms", "60")])
        elif model == "once500" and n == 1:
            self.reply(500, {"error": {"message": "oh"}})
        elif model == "limited":
            self.reply(429, {"error": {"message": "slow down"}}, [("Retry-After", "7")])
        elif model == "redirect":
            self.reply(307, {}, [("Location", "/v1/elsewhere")])
        elif model == "keybad":
            self.reply(401, {"error": {"message": "Incorrect API key provided: sk-secret"}})
        elif model == "error500":
            self.reply(503, {"error": {"message": last_text(body)}})
        elif model == "refused":
            self.reply(400, {"error": {"message": last_text(body), "code": "context_length_exceeded"}})
        elif model == "huge":
            self.huge(body)
        elif model == "headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(200)))
            self.close_connection = True
        elif model == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
            self.close_connection = True
        elif model == "http09":
            self.wfile.write(b"hello there\n")
            self.close_connection = True
        else:
            return False
        return True

    def huge(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if body.get("stream") else "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        block = b": " + b"a" * 65533 + b"\n" if body.get("stream") else b" " * 65536
        try:
            for _ in range(4096):
                self.wfile.write(block)
        except OSError:
            pass
        self.close_connection = True

    def text_for(self, model, body):
        if model == "echo":
            return last_text(body)
        if model == "bare":  # it takes the brackets off
            return last_text(body).replace("[", "<").replace("]", ">")
        if model == "unknown":
            return "Write to [EMAIL_7] please"
        if model == "peek":  # what came over the wire, anywhere in it
            return "leaked" if "@" in json.dumps(body) else "clean"
        if model == "form":
            return fill(body)
        if model == "json":
            return json.dumps({"said": last_text(body)})
        if model in ("half", "long"):  # more than a gate holds back of a stream
            return LONG
        return "Hello from the mock"

    def usage(self, body):
        return {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200,
                "prompt_tokens_details": {"cached_tokens": 400}}

    def events(self, parts, end=b"data: [DONE]\n\n", cut=False):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def send(data):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        for p in parts:
            name = f"event: {p['type']}\n" if "type" in p else ""
            data = (name + "data: " + json.dumps(p) + "\n\n").encode()
            send(data[:7])  # cut anywhere
            send(data[7:])
            time.sleep(0.002)
        if cut:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if end:
            send(end)
        self.wfile.write(b"0\r\n\r\n")

    def openai(self, model, body):
        text = self.text_for(model, body)
        message = {"role": "assistant", "content": text}
        finish = "stop"
        if model == "tools":
            finish = "tool_calls"
            message = {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": json.dumps({"at": last_text(body)})}}]}
        if not body.get("stream"):
            self.reply(200, {"id": "x", "object": "chat.completion", "model": model + "-1", "usage": self.usage(body),
                             "choices": [{"index": 0, "message": message, "finish_reason": finish}]})
            return
        parts = [{"model": model + "-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}]
        for i in range(0, len(text), 3):  # placeholders are torn apart
            parts.append({"choices": [{"index": 0, "delta": {"content": text[i:i + 3]}}]})
        if model == "half":
            self.events(parts[:len(parts) // 2], cut=True)
            return
        if model == "errorevent":
            self.events(parts[:1] + [{"error": {"message": "broken"}}])
            return
        parts.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        parts.append({"choices": [], "usage": self.usage(body)})
        self.events(parts, end=b"" if model == "noend" else b"data: [DONE]\n\n")

    def anthropic(self, model, body):
        text = self.text_for(model, body)
        usage = {"input_tokens": 600, "cache_read_input_tokens": 400, "output_tokens": 200}
        forced = (body.get("tool_choice") or {}).get("name")
        block = {"type": "text", "text": text}
        if forced or model == "tools":
            block = {"type": "tool_use", "id": "toolu_1", "name": forced or "look", "input": {"said": last_text(body)}}
        reason = "tool_use" if block["type"] == "tool_use" else "end_turn"
        if not body.get("stream"):
            self.reply(200, {"id": "m", "type": "message", "role": "assistant", "model": model + "-1", "content": [block],
                             "stop_reason": reason, "usage": usage})
            return
        piece = json.dumps(block["input"]) if reason == "tool_use" else text
        kind, key = ("input_json_delta", "partial_json") if reason == "tool_use" else ("text_delta", "text")
        start = dict(block, input={}) if reason == "tool_use" else {"type": "text", "text": ""}
        parts = [{"type": "message_start", "message": {"model": model + "-1", "usage": dict(usage, output_tokens=1)}},
                 {"type": "ping"}, {"type": "content_block_start", "index": 0, "content_block": start}]
        parts += [{"type": "content_block_delta", "index": 0, "delta": {"type": kind, key: piece[i:i + 3]}}
                  for i in range(0, len(piece), 3)]
        parts += [{"type": "content_block_stop", "index": 0},
                  {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 200}},
                  {"type": "message_stop"}]
        self.events(parts, end=b"")

    def embeddings(self, body):
        texts = body["input"]
        rows = [{"index": i, "embedding": [float(len(t) % 7 + 1), 2.0, 0.5]} for i, t in enumerate(texts)]
        self.reply(200, {"data": rows[::-1], "model": "e-1", "usage": {"prompt_tokens": 10, "total_tokens": 10}})


def start(tls=None, log=None):
    """A mock in this process; returns the server. Stop it with .shutdown()."""
    Mock.log = open(log, "a", encoding="utf-8") if log else None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mock)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tls", nargs=2)
    p.add_argument("--log")
    a = p.parse_args()
    server = start(a.tls, a.log)
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
