#!/usr/bin/env python3
"""Tests of the benchmark suite's statistics, verdicts and report: what it says must follow from what was measured."""

import os
import pathlib
import random
import shutil
import sys
import unittest

SOURCE = pathlib.Path(os.environ.get("HAWSER_SOURCE_ROOT") or pathlib.Path(__file__).resolve().parent.parent)
sys.path.insert(0, str(SOURCE / "bench"))
sys.dont_write_bytecode = True

from suite import contenders, cycles, hello, load, lua, musts, paired, primitives, report, results, workloads  # noqa: E402
from suite.processes import Failure, Process, Timeout  # noqa: E402


def sample(cpu_ns, ops=100.0, wall_ns=1_000_000, **more):
    return load.Sample(ops=ops, cpu_ns=cpu_ns, wall_ns=wall_ns, **more)


def compared(name, ours, theirs, other="asio"):
    """The result of a workload in which hawser and another took so many nanoseconds in each cycle."""
    measured = cycles.Measured({"hawser": [one and sample(one) for one in ours], other: [one and sample(one) for one in theirs]}, {})
    return results.compare(results.new(name, name, "echo"), measured)


class Statistics(unittest.TestCase):
    def test_spread(self):
        one = paired.spread([5, 1, 4, 2, 3])
        self.assertEqual((one.median, one.q1, one.q3, one.count), (3, 2, 4, 5))
        # Five values cannot enclose the median with 95 %: the whole range stands for it.
        self.assertEqual((one.low, one.high), (1, 5))

    def test_ranks_are_those_of_the_tables(self):
        # The ranks, from 1, of a 95 % interval by order statistics.
        for count, ranks in ((6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (41, (14, 28)), (61, (23, 39))):
            low, high = paired.median_ranks(count)
            self.assertEqual((low + 1, high + 1), ranks, count)

    def test_the_interval_covers_the_median(self):
        chance = random.Random(7)
        hits = 0
        for _ in range(2000):
            one = paired.spread(chance.expovariate(1) for _ in range(41))
            hits += one.low <= 0.6931 <= one.high
        self.assertGreater(hits, 1880)

    def test_ratios_leave_out_cycles_that_lack_one(self):
        self.assertEqual(paired.ratios([2, None, 6, 8], [4, 5, None, 2]), [0.5, 4])
        self.assertEqual(paired.double_ratios([8, 1], [4, None], [6, 1], [3, 1]), [1])

    def test_differences_leave_out_cycles_that_lack_one(self):
        self.assertEqual(paired.differences([5, None, 3, 9], [4, 5, None, 11]), [1, -2])

    def test_histograms(self):
        both = paired.merge([[(100, 1), (200, 98)], [(200, 1), (400, 100)]])
        self.assertEqual(both, [(100, 1), (200, 99), (400, 100)])
        self.assertEqual([paired.histogram_quantile(both, share) for share in (0.005, 0.5, 0.51, 1)], [100, 200, 400, 400])
        self.assertIsNone(paired.histogram_quantile([], 0.5))


class Cycles(unittest.TestCase):
    def test_everybody_is_visited_once_a_cycle_in_changing_order(self):
        visited = []
        visits = {name: lambda name=name: visited.append(name) or sample(100) for name in "abc"}
        measured = cycles.measure(visits, cycles=6)
        self.assertEqual([len(measured.samples[name]) for name in "abc"], [6, 6, 6])
        rounds = [tuple(visited[n:n + 3]) for n in range(0, len(visited), 3)]
        self.assertEqual({tuple(sorted(one)) for one in rounds}, {("a", "b", "c")})
        self.assertGreater(len(set(rounds)), 1)

    def test_one_that_fails_is_left_out_and_the_others_go_on(self):
        calls = {"bad": 0}

        def bad():
            calls["bad"] += 1
            if calls["bad"] == 3:
                raise Failure("broke")
            return sample(200)

        told = []
        measured = cycles.measure({"good": lambda: sample(100), "bad": bad}, cycles=5,
                                  failed=lambda name, failure: told.append((name, str(failure))) or [])
        self.assertEqual((calls["bad"], told, measured.failed), (3, [("bad", "broke")], {"bad": "broke"}))
        self.assertEqual([len(measured.good(name)) for name in ("good", "bad")], [5, 1])
        self.assertEqual(measured.ratio("good", "bad").median, 0.5)

    def test_answers_that_are_none_are_refused(self):
        good = {"ops": 10, "cpu_ns": 1000, "wall_ns": 2000, "latency": [[100, 10]], "errors": 0, "all_ops": 12}
        self.assertEqual(load.sample(good, strict=True).cpu_per_op, 100)
        for broken in ({"ops": 10}, {**good, "ops": 0}, {**good, "errors": 1, "first_error": "reset"}):
            with self.assertRaises(Failure):
                load.sample(broken, strict=True)

    def test_wrk(self):
        text = ("Running 1s test @ https://127.0.0.1:1/\n  Latency Distribution\n     50%  397.00us\n     99%   37.02ms\n"
                "  72206 requests in 1.00s, 3.50MB read\nRequests/sec:  72206\n")
        one = hello.parse(text)
        self.assertEqual((one.ops, one.wall_ns, one.quantiles), (72206, 1_000_000_000, {"p50": 397, "p99": 37020}))
        with self.assertRaisesRegex(Failure, "read 3"):
            hello.parse(text + "  Socket errors: connect 0, read 3, write 0, timeout 0\n")

    def test_primitives(self):
        self.assertEqual(primitives.rows('{"rows":[{"name":"yield, 1 task","ns_median":4.5,"ns_min":4}]}'), {"yield, 1 task": 4.5})
        with self.assertRaises(Failure):
            primitives.rows("Segmentation fault")


class Processes(unittest.TestCase):
    def test_a_process_that_fails_is_described(self):
        with Process(["sh", "-c", "echo why >&2; exit 3"]) as process:
            with self.assertRaisesRegex(Failure, "status 3: why"):
                process.read_line(10)

    def test_waiting_for_a_line_is_bounded(self):
        with Process(["sh", "-c", "printf half; exec sleep 60"]) as process:
            with self.assertRaises(Timeout):
                process.read_line(0.2)
        self.assertFalse(process.running())


class Verdicts(unittest.TestCase):
    def verdict(self, ours, theirs=(100,) * 41):
        found = {"tcp_echo_64": compared("tcp_echo_64", ours, theirs)}
        return next(one for one in musts.judge(found) if one.must.workload == "tcp_echo_64" and one.must.figure == ("ratio", "asio"))

    def test_met_within_and_missed(self):
        # The must is 0.95.
        for ours, wanted in ((80, "met"), (95, "met"), (97, "within"), (99, "missed")):
            self.assertEqual(self.verdict([ours] * 41).verdict, wanted, ours)
        self.assertAlmostEqual(self.verdict([99] * 41).by, 0.04)

    def test_too_few_cycles_are_not_judged(self):
        for ours in (50, 150):
            self.assertEqual(self.verdict([ours] * 39).verdict, "open")
        self.assertEqual(self.verdict([99] * 39 + [None] * 2).verdict, "open")

    def test_what_did_not_run_is_not_measured(self):
        self.assertEqual({one.verdict for one in musts.judge({})}, {"unknown"})
        result = compared("tcp_echo_64", [80] * 41, [])
        result["failed"]["asio"] = "status 1: no such key"
        one = next(one for one in musts.judge({"tcp_echo_64": result}) if one.must.figure == ("ratio", "asio"))
        self.assertEqual((one.verdict, one.reason), ("unknown", "status 1: no such key"))

    def test_every_must_belongs_to_a_workload(self):
        names = {one.name for one in workloads.all_workloads(None, [])}
        self.assertLessEqual({one.workload for one in musts.all_musts()}, names)

    def test_workloads_are_chosen_by_name_or_beginning(self):
        every = workloads.all_workloads(None, [])
        names = lambda *only: [one.name for one in workloads.chosen(every, list(only))[0]]  # noqa: E731
        self.assertEqual(names("tcp_echo_1"), ["tcp_echo_1"])
        self.assertEqual(names("tcp_echo"), ["tcp_echo_1", "tcp_echo_64", "tcp_echo_1000"])
        self.assertEqual(workloads.chosen(every, ["no_such"]), ([], ["no_such"]))


class Lua(unittest.TestCase):
    def result(self, **cpu):
        measured = cycles.Measured({name: [one and sample(one * 100) for one in values] for name, values in cpu.items()}, {})
        found = results.compare(results.new("lua_tcp_echo", "Lua", "echo"), measured, reference="hawser_lua")
        lua.put_added(found)
        return found

    def verdict(self, result):
        return next(one for one in musts.judge({"lua_tcp_echo": result}) if one.must.workload == "lua_tcp_echo")

    def suite(self, directory):
        return contenders.Suite(machine=None, programs=pathlib.Path(directory, "bench"), certificates=None, scratch=None, source=SOURCE, compiler=[])

    def test_an_echo_is_a_read_and_a_write(self):
        found = self.result(hawser_lua=[7000, 7200, 7400], hawser_cpp_flushing=[6000, 6400, 6200], hawser_cpp=[5000, 5200, 5600])
        self.assertEqual(found["measures"][lua.added("hawser_lua", "hawser_cpp_flushing")]["median"], 500)
        self.assertEqual(found["measures"][lua.added("hawser_lua", "hawser_cpp")]["median"], 1000)
        self.assertNotIn(lua.added("hawser_luajit", "hawser_cpp"), found["measures"])
        self.assertIn("a read or a write: added by Lua 5.4 to C++ that gathers writes", report.comparison(found))

    def test_what_is_judged_is_the_cost_over_the_same_work(self):
        for more, wanted in ((900, "met"), (1000, "met"), (1100, "missed")):
            one = self.verdict(self.result(hawser_lua=[6000 + more] * 41, hawser_cpp_flushing=[6000] * 41, hawser_cpp=[2000] * 41))
            self.assertEqual((one.verdict, one.value), (wanted, more / 2))

    def test_without_one_of_the_two_nothing_is_judged(self):
        one = self.verdict(self.result(hawser_lua=[6000] * 41, hawser_cpp_flushing=[None] * 41))
        self.assertEqual(one.verdict, "unknown")
        self.assertIn("hawser, C++, a send for each write failed", one.reason)

    def test_a_program_in_lua_is_started_by_its_interpreter_with_our_modules(self):
        suite = self.suite("/somewhere")
        environment = suite.environment_of("luajit")
        self.assertEqual(environment["LUA_CPATH"], "/somewhere/lua/luajit/?.so;;")
        self.assertTrue(environment["LUA_PATH"].startswith(f"{SOURCE}/bench/lua/?.lua;{SOURCE}/lua/?.lua;"))
        self.assertEqual(suite.environment_of(""), {})
        self.assertEqual(suite.command("rows.lua", "sh")[1:], [SOURCE / "bench" / "lua" / "rows.lua"])
        with self.assertRaisesRegex(Failure, "no-such-lua is not installed"):
            suite.command("rows.lua", "no-such-lua")

    def test_every_program_in_lua_is_there(self):
        programs = {one.program for one in contenders.LUA_SERVERS if one.runtime} | {program for program, _ in lua.PRIMITIVES.values()}
        self.assertEqual({path.name for path in (SOURCE / "bench" / "lua").glob("*.lua")}, programs | {"support.lua"})

    def test_a_library_that_is_missing_is_named(self):
        interpreter = next((one for one in ("lua5.4", "luajit") if shutil.which(one)), None)
        if interpreter is None:
            self.skipTest("neither lua5.4 nor luajit")
        # Neither the system's modules nor ours.
        nowhere = {"LUA_PATH": f"{SOURCE}/bench/lua/?.lua", "LUA_CPATH": ""}
        for program in ("cqueues_echo.lua", "cqueues_primitives.lua"):
            with Process([interpreter, SOURCE / "bench" / "lua" / program, "tcp-echo"], environment=nowhere) as process:
                with self.assertRaisesRegex(Failure, "status 1: no module cqueues for Lua 5..: Debian's package is lua-cqueues"):
                    process.read_line(10)


class Report(unittest.TestCase):
    ABOUT = {
        "machine": {"processor": "a CPU", "cpus": 2, "virtual machine": True, "memory_gib": 4, "kernel": "6.1", "system": "Debian",
                    "congestion_control": "cubic", "measured_cpu": 0, "load_cpu": 1, "scheduling": "default", "descriptors": 20000,
                    "load_average": 0.1, "notes": ["SCHED_FIFO is not permitted."]},
        "versions": {"compiler": "g++ 12"}, "flags": "-O2", "command": "scripts/bench", "date": "2026-01-01", "seconds": 480,
    }

    def test_figures(self):
        self.assertEqual([report.duration(ns) for ns in (4.56, 4560, 12_340_000, 0)], ["4.56 ns", "4.56 µs", "12.3 ms", "0 ns"])
        self.assertEqual([report.figure(0.052, "×"), report.figure(0.81, "×"), report.figure(26, "KiB")], ["0.052", "0.81", "26.0 KiB"])

    def test_a_table_leaves_out_what_nobody_says(self):
        self.assertEqual(report.table(["", "a", "b"], [["x", "", "1"]]), "|  | b |\n|---|---:|\n| x | 1 |")

    def test_says_what_was_measured_and_what_was_not(self):
        good = compared("tcp_echo_64", [99] * 41, [100] * 41)
        good["failed"]["floor"] = "status 1: no such key"
        skipped = results.skip(results.new("https_new_system", "System trust", "request"), "not permitted")
        found = {"tcp_echo_64": good, "https_new_system": skipped}
        text = report.markdown(self.ABOUT, found, musts.judge(found), {"tcp_echo_64": "tcp_echo_64.svg"})
        self.assertIn("**missed by 0.04", text)
        self.assertIn("| hawser | 0.99 ns | 0.99 ns–0.99 ns | 1 |", text)
        self.assertIn("0.99 (0.99–0.99)", text)
        self.assertIn("- bare io_uring loop failed: status 1: no such key", text)
        self.assertIn("Skipped: not permitted", text)
        self.assertIn("not measured: not run", text)
        self.assertIn("SCHED_FIFO is not permitted.", text)
        self.assertIn("(tcp_echo_64.svg)", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
