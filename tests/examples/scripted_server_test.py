#!/usr/bin/env python3
"""examples/scripted_server with examples/lua/service.lua, and with scripts that are wrong."""

import contextlib
import pathlib
import signal
import socket
import ssl
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import PATIENCE, SOURCE, Certificates, program, start_server  # noqa: E402

SERVICE = SOURCE / "examples" / "lua" / "service.lua"


class ScriptedServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certs = Certificates()
        cls.addClassCleanup(cls.certs.scratch.cleanup)

    @contextlib.contextmanager
    def server(self, script=SERVICE, tls=False, says=""):
        """A server, and a way to connect to it. It has to stop cleanly at the end, and to have said `says` on stderr."""
        arguments = ["--cert", self.certs["server.pem"], "--key", self.certs["server.key"]] if tls else []
        running, port = start_server([program("scripted_server"), script, "--modules", SOURCE / "lua", "--port", "0", *arguments])
        context = ssl.create_default_context(cafile=self.certs["ca.pem"]) if tls else None

        def connect():
            line = socket.create_connection(("127.0.0.1", port), PATIENCE)
            return (context.wrap_socket(line, server_hostname="localhost") if tls else line).makefile("rw")

        try:
            yield running, connect
        finally:
            running.send_signal(signal.SIGTERM)
            _, said = running.communicate(timeout=PATIENCE)
        self.assertEqual(running.returncode, 0, said)
        self.assertNotIn("Sanitizer", said)
        self.assertIn(says, said)
        if not says:
            self.assertEqual(said, "")

    def ask(self, line, text):
        line.write(text + "\n")
        line.flush()

    def test_clients_share_what_the_program_keeps(self):
        for tls in (False, True):
            with self.subTest(tls=tls), self.server(tls=tls) as (_, connect):
                first, second = connect(), connect()
                for line in (first, second):
                    self.assertIn("commands", line.readline())
                self.ask(first, "get nothing")
                self.assertEqual(first.readline(), "(nothing)\n")
                self.ask(first, "watch key")
                self.ask(first, "get key")
                self.ask(second, "set key a b")
                self.assertEqual(second.readline(), "done\n")
                # The watch may have begun after the change, and then sees the next one.
                self.ask(second, "set key c")
                self.assertEqual(second.readline(), "done\n")
                self.assertIn(first.readline(), ("a b\n", "c\n"))
                self.assertIn(first.readline(), ("a b\n", "c\n"))
                self.ask(second, "quit")
                self.assertEqual(second.read(), "")

    def test_a_stop_reaches_a_client_that_waits(self):
        with self.server() as (_, connect):
            line = connect()
            line.readline()
            self.ask(line, "watch key")
            self.ask(line, "get key")

    def test_a_new_script_is_for_new_clients(self):
        with tempfile.TemporaryDirectory() as scratch:
            script = pathlib.Path(scratch) / "script.lua"
            script.write_text("local line = ... line:write('old\\n') line:read('l') line:write('old\\n') line:close()")
            with self.server(script, says="at run time") as (running, connect):
                before = connect()
                self.assertEqual(before.readline(), "old\n")
                script.write_text("local line = ... line:write('new\\n') line:close()")
                running.send_signal(signal.SIGHUP)
                self.assertIn("loaded", running.stdout.readline())
                self.assertEqual(connect().read(), "new\n")
                self.ask(before, "")
                self.assertEqual(before.readline(), "old\n")
                script.write_text("this is no Lua")
                running.send_signal(signal.SIGHUP)
                self.assertIn("the old script stays", running.stderr.readline())
                self.assertEqual(connect().read(), "new\n")
                script.write_text("error('at run time')")
                running.send_signal(signal.SIGHUP)
                running.stdout.readline()
                self.assertEqual(connect().read(), "")


if __name__ == "__main__":
    unittest.main()
