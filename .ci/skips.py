"""Which tests were skipped, and whether they may be: a test that needs something installed must not skip in CI.

    python .ci/skips.py JUNIT.xml

Invariant: a skip whose reason begins with "needs installed:" fails the run; every other skip is listed with its reason.
"""

from __future__ import annotations

import sys
from collections import Counter
from xml.etree import ElementTree

FORBIDDEN = "needs installed:"


def reasons(junit: str) -> Counter[str]:
    """Skip reason -> number of tests, from a junit file that pytest wrote."""
    found: Counter[str] = Counter()
    for skipped in ElementTree.parse(junit).iter("skipped"):
        if skipped.get("type") != "pytest.xfail":
            found[skipped.get("message", "no reason given")] += 1
    return found


def main(junit: str) -> int:
    """Print every reason with its count; the exit code is 1 when one of them is forbidden."""
    code = 0
    for reason, count in sorted(reasons(junit).items()):
        forbidden = reason.startswith(FORBIDDEN)
        print(f"{'FAILED: ' if forbidden else ''}{count} skipped: {reason}")
        code = max(code, int(forbidden))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
