#!/usr/bin/env python3
"""Holds that Lua has every TLS option and everything that is told of a TLS connection: what the C++ headers declare is
compared with what the module lists and what its source pushes.

usage: tls_options_test.py INTERPRETER, with LUA_PATH and LUA_CPATH set.
"""

import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(os.environ["HAWSER_SOURCE_ROOT"])
INTERPRETER = None

# Members of a struct that are no field: what keeps the object alive.
NOT_A_FIELD = {"peer_info": {"connection"}}
# Public functions of the two configs, and by what each is reached from Lua. None: C++ alone needs it.
FUNCTIONS = {
    "config": {"system": None, "has_certificate": "->has_certificate()", "native": None},
    "server_config": {
        "from_files": "server_config::from_files(",
        "from_pem": "server_config::from_pem(",
        "with_keypair_files": "->with_keypair_files(",
        "with_keypair_pem": "->with_keypair_pem(",
        "native": None,
    },
}


def header(name):
    text = (ROOT / "include" / "hawser" / name).read_text()
    return re.sub(r"//[^\n]*", "", text)


def block(text, start):
    """What is between the braces after `start`, which must be there once."""
    found = re.findall(start, text)
    if len(found) != 1:
        raise AssertionError(f"{start} is there {len(found)} times")
    begin = text.index("{", re.search(start, text).end() - 1)
    depth = 0
    for i in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[begin + 1:i]
    raise AssertionError(f"no end of {start}")


def outermost(text):
    """The text without what is in braces or parentheses, which leave a mark."""
    shorter = None
    while shorter != text:
        shorter, text = text, re.sub(r"\{[^{}]*\}", "@", re.sub(r"\([^()]*\)", "#", text))
    return text


def fields(text, struct):
    declared = []
    for statement in outermost(block(text, rf"struct {struct} \{{")).split(";"):
        statement = statement.strip()
        if not statement or "#" in statement or statement.startswith(("using ", "static_assert", "friend ")):
            continue
        for one in statement.split(","):
            name = re.search(r"(\w+)\s*(=[^=]*|@)?$", one.strip())
            declared.append(name.group(1))
    return set(declared) - NOT_A_FIELD.get(struct, set())


def public_functions(text, name):
    body = block(text, rf"class {name} \{{")
    body = outermost(body[body.index("public:"):body.index("private:")])
    return set(re.findall(r"(\w+)#", body)) - {name}


def pushed(text, function):
    """The keys that a function of info.hpp sets."""
    body = block(text, rf"inline int {function}\(state\* L\) \{{")
    return set(re.findall(r'(?:set_field\(L, |set_time\(L, |\btext\()"(\w+)"', body))


def listed():
    script = """
      for kind, names in pairs(require("hawser").tls.options()) do
        for _, name in ipairs(names) do print(kind, name) end
      end
    """
    environment = {**os.environ, "LD_PRELOAD": os.environ.get("HAWSER_LUA_PRELOAD", "")}
    done = subprocess.run([INTERPRETER, "-e", script], check=True, capture_output=True, text=True, env=environment)
    lines = done.stdout.splitlines()
    result = {}
    for line in lines:
        kind, name = line.split("\t")
        result.setdefault(kind, []).append(name)
    return result


class Options(unittest.TestCase):
    def test_every_client_option(self):
        names = listed()["client"]
        self.assertEqual(sorted(fields(header("tls/config.hpp"), "client_options")), sorted(names))

    def test_every_server_option(self):
        names = listed()["server"]
        self.assertEqual(sorted(fields(header("tls/config.hpp"), "server_options")), sorted(names))

    def test_every_way_to_give_a_certificate(self):
        self.assertEqual(sorted(listed()["keypair"]), ["cert_file", "cert_pem", "key_file", "key_pem", "ocsp_staple_file"])

    def test_every_function_of_the_configs(self):
        declared, bound = header("tls/config.hpp"), header("lua/tls_config.hpp") + header("lua/connecting.hpp")
        for name, known in FUNCTIONS.items():
            self.assertEqual(public_functions(declared, name), set(known), name)
            for function, use in known.items():
                if use:
                    self.assertIn(use, bound, function)


class Getters(unittest.TestCase):
    def check(self, struct, function):
        self.assertEqual(sorted(fields(header("tls/peer.hpp"), struct)), sorted(pushed(header("lua/info.hpp"), function)))

    def test_session(self):
        self.check("session_info", "ios_session")

    def test_peer(self):
        self.check("peer_info", "ios_certificate")
        self.assertIn('"peer_contains_name"', header("lua/open.hpp"))

    def test_ocsp(self):
        self.check("ocsp_info", "ios_ocsp")


class Parser(unittest.TestCase):
    """What reads the headers sees what they declare."""

    TEXT = """
    struct a {
        std::string_view x{};
        int depth = 6;
        bool b1 = false, b2 = true;
        when from{}, to{};
        kind k = kind::none;
        a() = default;
        bool f(int i) const { return i == 0; }
    };
    class c {
    public:
        c() : c{g()} {}
        explicit c(const a& x) : s{h(x)} {}
        static c from(int i, const a& options = {}) { return use(i); }
        bool has() const noexcept { return s->has; }
    private:
        int hidden();
    };
    inline int ios_a(state* L) { set_field(L, "x", 1); if (L) { text("y", "z"); set_time(L, "t", 0); } }
    """

    def test_fields(self):
        self.assertEqual(fields(self.TEXT, "a"), {"x", "depth", "b1", "b2", "from", "to", "k"})

    def test_functions(self):
        self.assertEqual(public_functions(self.TEXT, "c"), {"from", "has"})

    def test_keys(self):
        self.assertEqual(pushed(self.TEXT, "ios_a"), {"x", "y", "t"})


if __name__ == "__main__":
    INTERPRETER = sys.argv.pop(1)
    unittest.main()
