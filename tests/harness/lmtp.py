"""An LMTP server that follows a script, over TCP or a Unix socket."""
import os
import re
import socket
import threading


class Lmtp:
    """`ends` maps the number of a message (from 0) to a list of answers to its end, octets each; None hangs up there, a number waits so many seconds.
    Without an entry each recipient is answered 250. `rcpt` is called with an address and returns octets, or None for 250."""

    def __init__(self, world, where=("127.0.0.4", 24), ends=None, rcpt=None, lhlo=b"250-lmtp.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
                 data=b"354 go\r\n"):
        self.ends, self.rcpt, self.lhlo, self.data = ends or {}, rcpt or (lambda address: None), lhlo, data
        self.taken, self.lines, self.count, self.sessions, self.lock = [], [], 0, 0, threading.Lock()
        if isinstance(where, tuple):
            self.listener = socket.create_server(where, backlog=64)
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(where))
            self.listener.listen(64)
            os.chmod(where, 0o666)
        threading.Thread(target=self.accept, daemon=True).start()
        world.add(self)

    def stop(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.session(connection, connection.makefile("rb"))
        except OSError:
            pass
        finally:
            connection.shutdown(socket.SHUT_RDWR) if connection.fileno() >= 0 else None
            connection.close()

    def session(self, out, lines):
        out.sendall(b"220 lmtp.example LMTP\r\n")
        rcpts = []
        while True:
            line = lines.readline().decode().strip()
            if not line:
                return
            self.lines.append(line)
            verb = line[:4].upper()
            if verb == "LHLO":
                out.sendall(self.lhlo)
            elif verb == "RCPT":
                address = re.search("<(.*)>", line).group(1)
                refusal = self.rcpt(address)
                out.sendall(refusal or b"250 2.1.5 ok\r\n")
                if not refusal:
                    rcpts.append(address)
            elif verb == "DATA":
                out.sendall(self.data if rcpts else b"503 5.5.1 no recipients\r\n")
                if rcpts and not self.end(out, lines, rcpts):
                    return
                rcpts = []
            elif verb == "QUIT":
                out.sendall(b"221 2.0.0 bye\r\n")
                return
            elif verb in ("EHLO", "HELO"):
                out.sendall(b"500 5.5.1 this is LMTP\r\n")
            else:
                if verb in ("MAIL", "RSET"):
                    rcpts = []
                out.sendall(b"250 2.0.0 ok\r\n")

    def end(self, out, lines, rcpts):
        content = b""
        while not content.endswith(b"\r\n.\r\n"):
            got = lines.readline()
            if not got:
                return False
            content += got
        with self.lock:
            number, self.count = self.count, self.count + 1
        answers = self.ends.get(number, [b"250 2.0.0 saved\r\n"] * len(rcpts))
        waiting = list(rcpts)
        for answer in answers:
            if answer is None:
                return False
            if isinstance(answer, (int, float)):
                threading.Event().wait(answer)
                continue
            rcpt = waiting.pop(0) if waiting else None
            if rcpt and re.fullmatch(rb"2\d\d [^\n]*\n", answer):
                with self.lock:
                    self.taken.append((number, rcpt, content))
            out.sendall(answer)
        return True
