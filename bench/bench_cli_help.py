"""CPU seconds of `sublet --help` in a new process, interpreter start included. Target: under 0.3."""

from __future__ import annotations

from _harness import child_cpu_s, report, sublet

if __name__ == "__main__":
    report("cli_help", child_cpu_s(sublet("--help"), repeats=5), "CPU-s", at_most=0.3)
