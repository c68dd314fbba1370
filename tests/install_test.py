#!/usr/bin/env python3
"""Installs hawser into a directory of its own and builds a user's program from there, in every way users have."""

import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = SOURCE / "tests" / "programs" / "program1.cpp"
MESON = os.environ.get("MESON", "meson")
COMPILERS = [name for name in ("g++", "clang++-19") if shutil.which(name)]
STANDARDS = ["c++20", "gnu++20"]
STRICT = ["-Wall", "-Wextra", "-Werror"]
OFF = ["-Dtests=disabled", "-Dexamples=disabled", "-Dbench=disabled"]
RUNTIMES = {name: version for name, version in {"lua5.4": "5.4", "luajit": "5.1"}.items() if shutil.which(name)}


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="hawser-install-")
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = pathlib.Path(scratch.name)
        cls.prefix = cls.scratch / "prefix"
        # The build this test belongs to may have been made for another compiler or a sanitizer; users have neither.
        cls.environment = {key: value for key, value in os.environ.items() if key not in ("CXXFLAGS", "LDFLAGS", "CXX")}
        cls.environment["PKG_CONFIG_PATH"] = str(cls.prefix / "share" / "pkgconfig")
        build = cls.scratch / "build"
        cls.run_in(cls.scratch, MESON, "setup", build, SOURCE, f"--prefix={cls.prefix}", "--buildtype=plain", "-Dlua=disabled", *OFF)
        cls.run_in(cls.scratch, MESON, "install", "-C", build)

    @classmethod
    def run_in(cls, directory, *command):
        """Runs a command and returns its output; a failing one ends the test with everything it printed."""
        command = [str(word) for word in command]
        done = subprocess.run(
            command, cwd=directory, env=cls.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if done.returncode != 0:
            raise AssertionError(f"{shlex.join(command)} ended with status {done.returncode}:\n{done.stdout}")
        return done.stdout

    def directory(self, name):
        path = self.scratch / name
        path.mkdir(parents=True)
        return path

    def runs(self, program):
        """With no hosts to fetch from there is nothing to do, which must succeed."""
        self.run_in(self.scratch, program)

    def test_installs_every_header(self):
        def headers(include):
            return sorted(str(file.relative_to(include)) for file in include.rglob("*") if file.is_file())

        self.assertEqual(headers(self.prefix / "include"), headers(SOURCE / "include"))

    def test_installs_nothing_else(self):
        files = {str(file.relative_to(self.prefix)) for file in self.prefix.rglob("*") if file.is_file()}
        self.assertEqual(
            {file for file in files if not file.startswith("include/hawser/")},
            {
                "share/pkgconfig/hawser.pc",
                "share/cmake/hawser/hawserConfig.cmake",
                "share/cmake/hawser/hawserConfigVersion.cmake",
            },
        )

    @unittest.skipUnless(RUNTIMES, "no Lua here")
    def test_lua(self):
        work = self.directory("lua")
        prefix = work / "prefix"
        self.run_in(work, MESON, "setup", "build", SOURCE, f"--prefix={prefix}", "--libdir=lib", "--buildtype=plain", "-Dlua=enabled", *OFF)
        self.run_in(work, MESON, "install", "-C", "build")
        places = [prefix / "share" / "lua", prefix / "lib" / "lua"]
        installed = {str(file.relative_to(prefix)) for place in places for file in place.rglob("*") if file.is_file()}
        wanted = set()
        for version in RUNTIMES.values():
            wanted |= {f"share/lua/{version}/hawser.lua", f"share/lua/{version}/hawser/compat.lua", f"lib/lua/{version}/hawser/core.so"}
        self.assertEqual(installed, wanted)
        for name, version in RUNTIMES.items():
            paths = f"package.path = '{prefix}/share/lua/{version}/?.lua' package.cpath = '{prefix}/lib/lua/{version}/?.so'"
            program = f"{paths} assert(require('hawser.compat').nfl) print(require('hawser').run(function() return 'works' end))"
            self.assertEqual(self.run_in(work, name, "-e", program), "works\n")

    def test_pkg_config(self):
        flags = shlex.split(self.run_in(self.scratch, "pkg-config", "--cflags", "--libs", "hawser"))
        work = self.directory("pkg-config")
        for compiler in COMPILERS:
            for standard in STANDARDS:
                with self.subTest(compiler=compiler, standard=standard):
                    program = work / f"program1-{compiler}-{standard}"
                    self.run_in(work, compiler, f"-std={standard}", *STRICT, PROGRAM, *flags, "-o", program)
                    self.runs(program)

    def test_cmake(self):
        if not shutil.which("cmake"):
            self.skipTest("no cmake here")
        # A moved tree must still be found: nothing in the package may name the prefix.
        moved = self.scratch / "moved"
        shutil.copytree(self.prefix, moved)
        work = self.directory("cmake")
        (work / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.16)\n"
            "project(user CXX)\n"
            "find_package(hawser 0.1 CONFIG REQUIRED)\n"
            f"add_executable(program1 {PROGRAM})\n"
            "target_link_libraries(program1 PRIVATE hawser::hawser)\n"
        )
        self.run_in(
            work, "cmake", "-S", ".", "-B", "build", f"-DCMAKE_PREFIX_PATH={moved}", f"-DCMAKE_CXX_FLAGS={' '.join(STRICT)}"
        )
        self.run_in(work, "cmake", "--build", "build")
        self.runs(work / "build" / "program1")

    def test_cmake_versions(self):
        if not shutil.which("cmake"):
            self.skipTest("no cmake here")
        for version, accepted in [("0.1", True), ("0.1.0", True), ("0.2", False), ("0.0.9", False), ("1.0", False)]:
            with self.subTest(version=version):
                work = self.directory(f"cmake-{version}")
                (work / "CMakeLists.txt").write_text(
                    "cmake_minimum_required(VERSION 3.16)\n"
                    "project(user NONE)\n"
                    f"find_package(hawser {version} CONFIG QUIET)\n"
                    'message(STATUS "found: ${hawser_CONSIDERED_VERSIONS} ${hawser_DIR}")\n'
                    "file(WRITE ${CMAKE_BINARY_DIR}/found \"${hawser_FOUND}\")\n"
                )
                # Without a compiler only the version file is decisive, so the package's own look-ups are left out.
                package = work / "share" / "cmake" / "hawser"
                package.mkdir(parents=True)
                (package / "hawserConfig.cmake").write_text("")
                shutil.copy(self.prefix / "share/cmake/hawser/hawserConfigVersion.cmake", package)
                self.run_in(work, "cmake", "-S", ".", "-B", "build", f"-DCMAKE_PREFIX_PATH={work}")
                self.assertEqual((work / "build" / "found").read_text() == "1", accepted)

    def test_meson_subproject(self):
        work = self.directory("meson")
        (work / "subprojects").mkdir()
        (work / "subprojects" / "hawser").symlink_to(SOURCE)
        shutil.copy(PROGRAM, work / "program1.cpp")
        (work / "meson.build").write_text(
            "project('user', 'cpp', meson_version: '>=1.0.0',\n"
            "  default_options: ['cpp_std=c++20', 'werror=true', 'warning_level=3'])\n"
            "executable('program1', 'program1.cpp', dependencies: dependency('hawser'), install: true)\n"
        )
        build = work / "build"
        # Forced, so that a hawser installed on this machine does not stand in for this one.
        self.run_in(work, MESON, "setup", build, "--force-fallback-for=hawser", f"--prefix={work}/prefix")
        self.run_in(work, MESON, "compile", "-C", build)
        self.runs(build / "program1")
        # A subproject installs nothing of its own.
        self.run_in(work, MESON, "install", "-C", build)
        installed = [str(file.relative_to(work / "prefix")) for file in (work / "prefix").rglob("*") if file.is_file()]
        self.assertEqual(installed, ["bin/program1"])


if __name__ == "__main__":
    unittest.main()
