"""A tenant with a hook, a receiver that answers as it is told, and a mail server that keeps what it is given."""

from __future__ import annotations

import socketserver
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sublet.broker.audit import log
from sublet.broker.hooks import delivery, service
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM


class Receiver:
    """A real HTTP server; `answers` are used up one by one, the last of them for ever."""

    def __init__(self, *answers):
        self.answers = list(answers) or [200]
        self.heard: list[tuple[dict[str, str], bytes]] = []  # (headers, body) as they came
        self.pause_s = 0.0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    outer.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
                    answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                time.sleep(outer.pause_s)
                if answer == "drip":
                    self._drip()
                    return
                self.send_response(answer)
                self.send_header("content-length", "0")
                self.end_headers()

            def _drip(self):
                """An answer that comes a letter at a time, and never to its end."""
                try:
                    for letter in "HTTP/1.1 200 OK\r\nx: " + "y" * 200:
                        self.wfile.write(letter.encode())
                        self.wfile.flush()
                        time.sleep(0.05)
                except OSError:
                    pass
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class MailSink:
    """A mail server of one's own: just enough SMTP; `refuse` is said to every recipient."""

    def __init__(self, refuse=""):
        self.letters = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.say("220 sink")
                letter = None
                for raw in self.rfile:
                    line = raw.decode().rstrip("\r\n")
                    if letter is not None:
                        if line != ".":
                            letter.append(line)
                            continue
                        outer.letters.append("\n".join(letter))
                        letter = None
                        self.say("250 kept")
                    elif line.upper() == "DATA":
                        letter = []
                        self.say("354 go on")
                    elif line.upper() == "QUIT":
                        self.say("221 bye")
                        return
                    elif line.upper().startswith("RCPT") and refuse:
                        self.say(refuse)
                    else:
                        self.say("250 fine")

            def say(self, line):
                self.wfile.write(line.encode() + b"\r\n")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def closing(thing):
    try:
        yield thing
    finally:
        thing.close()


class Tenant:
    """An organisation with one hook."""

    def __init__(self, database, clock, url, email="ada@example.org"):
        self.database, self.clock = database, clock
        with database.transaction() as session:
            self.organisation = tenants.create_organisation(session, name="Acme", actor=SYSTEM, now=clock.now()).id
            tenants.create_person(
                session,
                organisation=self.organisation,
                name="Ada",
                email=email,
                role="admin",
                actor=SYSTEM,
                now=clock.now(),
            )
            self.hook, self.secret = service.create(
                session, organisation=self.organisation, url=url, actor=SYSTEM, now=clock.now()
            )

    def happen(self, *names):
        """Orders of these names are written down, as the room of orders does."""
        with self.database.transaction() as session:
            for name in names:
                log.record(
                    session,
                    actor=SYSTEM,
                    action="order.place",
                    target=name,
                    outcome="done",
                    organisation=self.organisation,
                    now=self.clock.now(),
                )

    def deliver(self, send):
        return delivery.deliver(self.database, self.clock, send)

    def deliveries(self):
        """Oldest first."""
        with self.database.reading() as session:
            return service.deliveries(session, self.hook.id, actor=SYSTEM)[::-1]

    def acts(self):
        with self.database.reading() as session:
            return [entry.action for entry in log.entries(session, actor=SYSTEM, limit=500)]
