"""Crash points: they kill as they are told to in test builds, and there is nothing of them in a release build."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import chaos  # noqa: E402

ROOT = chaos.ROOT
PROGRAM = """
#include <cstdlib>
#include <unistd.h>
#include "sys/crash_point.hpp"
int main(int, char** argv) {
  for (int i = std::atoi(argv[1]); i > 0; --i) {
    sys::crash_point("first-step");
    sys::crash_point("second-step");
  }
  static_cast<void>(::write(1, "alive", 5));
}
"""
KILLED = -9


def compile_program(folder, *flags):
    source, program = folder / "program.cpp", folder / "program"
    source.write_text(PROGRAM)
    subprocess.run(["g++", "-std=c++20", *flags, f"-I{ROOT}/lib", source, ROOT / "lib/sys/crash_point.cpp", ROOT / "lib/sys/text.cpp",
                    ROOT / "lib/sys/error.cpp", "-lcrypto", "-o", program], check=True)
    return program


class TestCrashPoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.holder.name)
        cls.program = compile_program(cls.folder, "-DPOMONA_TEST_BUILD=1")

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def run_at(self, order, passages=1, program=None):
        return subprocess.run([program or self.program, str(passages)], env={"POMONA_CRASH_AT": order}, capture_output=True).returncode

    def test_a_name_kills_at_its_first_passage_and_no_other_name_does(self):
        self.assertEqual(self.run_at("second-step"), KILLED)
        for order in ("second", "second-step-more", "", "@", "@/nonexistent", ":1"):
            self.assertEqual(self.run_at(order), 0, order)

    def test_a_probability_kills_that_often(self):
        self.assertEqual(self.run_at("first-step:1"), KILLED)
        self.assertEqual(self.run_at("*:1"), KILLED)
        for order in ("first-step:0", "*:0", "first-step:junk", "third-step:1"):
            self.assertEqual(self.run_at(order, 1000), 0, order)
        killed = sum(self.run_at("*:0.5") == KILLED for _ in range(60))   # two passages: three in four die
        self.assertTrue(25 < killed < 60, killed)

    def test_a_file_gives_a_name_to_one_process_and_can_change_while_they_run(self):
        order = self.folder / "order"
        order.write_text("second-step\n")
        self.assertEqual(self.run_at(f"@{order}"), KILLED)
        self.assertFalse(order.exists())
        self.assertEqual(self.run_at(f"@{order}"), 0)
        order.write_text("*:1")
        self.assertEqual([self.run_at(f"@{order}") for _ in range(2)], [KILLED, KILLED])

    def test_a_release_build_has_neither_code_nor_names_of_them(self):
        presets = {preset["name"]: preset for preset in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
        self.assertNotIn("POMONA_TEST_BUILD", presets["release"]["cacheVariables"] | presets["base"]["cacheVariables"])
        flags = presets["release"]["cacheVariables"]["CMAKE_CXX_FLAGS_RELEASE"].split()
        with tempfile.TemporaryDirectory() as holder:
            program = compile_program(Path(holder), *flags)
            code = program.read_bytes()
            self.assertEqual([word for word in (b"POMONA_CRASH_AT", b"first-step", b"second-step") if word in code], [])
            self.assertEqual(self.run_at("first-step", program=program), 0)
            self.assertEqual(self.run_at("*:1", program=program), 0)

    def test_a_built_release_has_nothing_of_them(self):
        programs = sorted((ROOT / "build/release/bin").glob("pomona*"))
        for program in programs:
            self.assertNotIn(b"POMONA_CRASH_AT", program.read_bytes(), program)
        test_build = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin/pomona-mdm"
        self.assertIn(b"POMONA_CRASH_AT", test_build.read_bytes())


if __name__ == "__main__":
    unittest.main()
