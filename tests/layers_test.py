#!/usr/bin/env python3
"""Holds the rules about headers: which layer may include which, and who may see the libraries below.

base <- coro <- reactor <- net <- stream <- tls <- http <- lua: a layer includes only itself and those before it. test/ may
include all of them and nothing includes it.
"""

import argparse
import pathlib
import re
import sys
import tempfile
import unittest

LAYERS = ["base", "coro", "reactor", "net", "stream", "tls", "http", "lua"]
UMBRELLA = "hawser.hpp"
# Layers the umbrella need not reach: the tests' own, HTTP, which costs too much to compile for everybody, and Lua, whose
# headers not everybody has.
NOT_IN_UMBRELLA = {"test", "http", "lua"}
# A library's headers, and the only layer that may include them.
LIBRARIES = [
    (re.compile(r"^liburing(\.h$|/)"), "reactor"),
    (re.compile(r"^(linux/io_uring|sys/epoll)\.h$"), "reactor"),
    (re.compile(r"^tls\.h$"), "tls"),
    (re.compile(r"^ares(_\w+)?\.h$"), "net"),
    (re.compile(r"^(lua|lualib|lauxlib|luajit)\.(h|hpp)$"), "lua"),
]
MAX_LINES = 400

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def layer_of(path):
    """The first directory below hawser/, or None for the umbrella."""
    return path.split("/")[0] if "/" in path else None


def resolve(header, quote, target, known):
    """The path below hawser/ that an include names, or None when it names a header of somebody else."""
    if target.startswith("hawser/"):
        return target.removeprefix("hawser/")
    if quote == '"':
        parts = []
        for part in [*header.split("/")[:-1], *target.split("/")]:
            if part == ".." and parts:
                parts.pop()
            elif part != ".":
                parts.append(part)
        near = "/".join(parts)
        return near if near in known else target
    return None


def check(include):
    """Returns what is wrong with the headers below `include`, one sentence each."""
    root = pathlib.Path(include) / "hawser"
    texts = {str(file.relative_to(root)): file.read_text() for file in sorted(root.rglob("*")) if file.is_file()}
    problems, graph = [], {}

    for header, text in texts.items():
        layer = layer_of(header)
        if not header.endswith(".hpp"):
            problems.append(f"{header}: only .hpp files belong here")
            continue
        if layer is None and header != UMBRELLA:
            problems.append(f"{header}: only {UMBRELLA} may lie outside a layer")
        if layer is not None and layer not in [*LAYERS, "test"]:
            problems.append(f"{header}: {layer} is no layer")
            continue
        if not re.search(r"^#pragma once$", text, re.MULTILINE):
            problems.append(f"{header}: no #pragma once")
        lines = text.count("\n")
        if lines > MAX_LINES:
            problems.append(f"{header}: {lines} lines, more than {MAX_LINES}")
        if "\nusing namespace " in text:
            problems.append(f"{header}: using namespace in a header")

        graph[header] = []
        for quote, target in INCLUDE.findall(COMMENT.sub("", text)):
            own = resolve(header, quote, target, texts)
            if own is None:
                problems += foreign(header, layer, target)
                continue
            if own not in texts:
                problems.append(f"{header}: includes {target}, which does not exist")
                continue
            graph[header].append(own)
            problems += upwards(header, layer, own)

    return problems + cycles(graph) + unreached(graph)


def foreign(header, layer, target):
    return [
        f"{header}: includes {target}, which only {owner}/ may"
        for pattern, owner in LIBRARIES
        if pattern.match(target) and layer != owner
    ]


def upwards(header, layer, own):
    other = layer_of(own)
    if other == "test" and layer != "test":
        return [f"{header}: includes {own}, and test/ is for tests only"]
    if other is None:
        return [f"{header}: includes the umbrella"] if layer in LAYERS else []
    if layer in LAYERS and other in LAYERS and LAYERS.index(other) > LAYERS.index(layer):
        return [f"{header}: includes {own}, a layer above its own"]
    return []


def cycles(graph):
    """Headers that include each other in a ring: #pragma once would hide it until somebody includes the other one first."""
    problems, done = [], set()

    def visit(header, path):
        if header in path:
            problems.append(" -> ".join([*path[path.index(header):], header]) + ": a ring of includes")
            return
        if header in done:
            return
        for other in graph.get(header, []):
            visit(other, [*path, header])
        done.add(header)

    for header in graph:
        visit(header, [])
    return problems


def unreached(graph):
    if UMBRELLA not in graph:
        return [f"{UMBRELLA} does not exist"]
    seen, todo = set(), [UMBRELLA]
    while todo:
        header = todo.pop()
        if header not in seen:
            seen.add(header)
            todo += graph.get(header, [])
    return [
        f"{header}: not reached from {UMBRELLA}"
        for header in graph
        if header not in seen and layer_of(header) not in NOT_IN_UMBRELLA
    ]


class OurTree(unittest.TestCase):
    include = pathlib.Path(__file__).resolve().parent.parent / "include"
    compiled = None

    def test_keeps_the_rules(self):
        self.assertEqual(check(self.include), [])

    def test_every_header_is_compiled_alone(self):
        if self.compiled is None:
            self.skipTest("started without --compiled")
        present = {str(file.relative_to(self.include)) for file in (self.include / "hawser").rglob("*.hpp")}
        self.assertEqual(present, set(self.compiled), "run meson setup --reconfigure")


class TheCheckItself(unittest.TestCase):
    """Each rule, broken alone in a tree that is otherwise right, is reported, and reported alone."""

    GOOD = {
        "hawser.hpp": '#pragma once\n#include "hawser/tls/stream.hpp"\n#include <hawser/net/tcp.hpp>\n',
        "base/error.hpp": "#pragma once\n#include <system_error>\n",
        "coro/task.hpp": '#pragma once\n#include "../base/error.hpp"\n',
        "reactor/ring.hpp": "#pragma once\n#include <liburing.h>\n#include <hawser/coro/task.hpp>\n",
        "net/tcp.hpp": "#pragma once\n#include <ares.h>\n#include <hawser/reactor/ring.hpp>\n",
        "tls/stream.hpp": '#pragma once\n#include <tls.h>\n#include "engine.hpp"\n',
        "tls/engine.hpp": "#pragma once\n// #include <hawser/http/client.hpp>\n/* #include <ares.h> */\n",
        "http/client.hpp": "#pragma once\n#include <hawser/tls/stream.hpp>\n",
        "test/pair.hpp": "#pragma once\n#include <hawser/hawser.hpp>\n",
    }

    def problems(self, files=None):
        with tempfile.TemporaryDirectory(prefix="hawser-layers-") as directory:
            for name, text in {**self.GOOD, **(files or {})}.items():
                if text is not None:
                    file = pathlib.Path(directory, "hawser", name)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text)
            return check(directory)

    def expect(self, words, **files):
        found = self.problems(files={name.replace("__", "/") + ".hpp": text for name, text in files.items()})
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def with_line(self, name, line):
        return self.GOOD[name] + line + "\n"

    def test_accepts_a_good_tree(self):
        self.assertEqual(self.problems(), [])

    def test_reports_a_layer_above(self):
        self.expect("a layer above", base__error=self.with_line("base/error.hpp", "#include <hawser/http/client.hpp>"))
        self.expect("a layer above", net__tcp=self.with_line("net/tcp.hpp", '#include "../tls/engine.hpp"'))

    def test_reports_the_tests_layer(self):
        self.expect("tests only", http__client=self.with_line("http/client.hpp", "#include <hawser/test/pair.hpp>"))
        line = "#  include <hawser/test/pair.hpp>"
        self.expect("tests only", hawser=self.with_line("hawser.hpp", line), test__pair="#pragma once\n")

    def test_reports_the_umbrella_included_by_a_layer(self):
        self.expect("umbrella", http__client=self.with_line("http/client.hpp", "#include <hawser/hawser.hpp>"))

    def test_reports_a_library_seen_elsewhere(self):
        for name, line in [
            ("tls/stream", "#include <liburing.h>"),
            ("net/tcp", "#include <linux/io_uring.h>"),
            ("net/tcp", "#include <tls.h>"),
            ("test/pair", '#include <tls.h>'),
            ("reactor/ring", "#include <ares.h>"),
            ("hawser", "#include <ares_version.h>"),
        ]:
            with self.subTest(name=name, line=line):
                self.expect("which only", **{name.replace("/", "__"): self.with_line(name + ".hpp", line)})

    def test_reports_a_missing_header(self):
        self.expect("does not exist", coro__task=self.with_line("coro/task.hpp", '#include "gone.hpp"'))
        self.expect("does not exist", coro__task=self.with_line("coro/task.hpp", "#include <hawser/base/gone.hpp>"))

    def test_reports_a_missing_umbrella(self):
        found = self.problems(files={"hawser.hpp": None, "test/pair.hpp": "#pragma once\n"})
        self.assertEqual(found, ["hawser.hpp does not exist"])

    def test_reports_a_missing_guard(self):
        self.expect("no #pragma once", base__error="// #pragma once\n")

    def test_reports_a_long_file(self):
        self.expect("more than 400", base__error="#pragma once\n" + "\n" * 400)
        self.assertEqual(self.problems(files={"base/error.hpp": "#pragma once\n" + "\n" * 399}), [])

    def test_reports_what_the_umbrella_does_not_reach(self):
        self.expect("not reached", stream__copy="#pragma once\n")

    def test_reports_a_strange_place(self):
        self.expect("is no layer", util__misc="#pragma once\n")
        self.expect("outside a layer", version="#pragma once\n", hawser=self.with_line("hawser.hpp", '#include "version.hpp"'))

    def test_reports_a_ring(self):
        self.expect("ring", tls__engine=self.with_line("tls/engine.hpp", '#include "stream.hpp"'))

    def test_reports_using_namespace(self):
        self.expect("using namespace", base__error="#pragma once\nusing namespace std;\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiled", nargs="+", help="the headers that the build compiles alone")
    args, rest = parser.parse_known_args()
    OurTree.compiled = args.compiled
    unittest.main(argv=[sys.argv[0], *rest])
