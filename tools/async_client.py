"""Make src/sublet/client/async_client.py from client.py: the same methods, awaited.

python tools/async_client.py            # write it
python tools/async_client.py --check    # say whether it is as it should be (exit code 1 where not)
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "src" / "sublet" / "client"
AWAITED = ("_do", "_tagged")


def made(source: str) -> str:
    """The text of the asynchronous client."""
    head, _, body = source.partition("class Client(SyncCore):")
    head = head.replace(
        head.split('"""')[1],
        "The client, awaited: made from client.py by tools/async_client.py; change it there.\n\n"
        "Invariant: every method of `Client` is here under the same name, with the same arguments.\n",
    )
    head = head.replace("import time\n", "import asyncio\nimport time\n").replace("Iterator", "AsyncIterator")
    head = head.replace("SyncCore", "AsyncCore")
    methods = re.split(r"(?m)^(?=    def |    # ---)", body)
    return _ruff(head + "class AsyncClient(AsyncCore):" + "".join(_method(text) for text in methods))


def _ruff(text: str) -> str:
    """As the house writes it: imports in order, lines of the house's length."""
    target = str(FOLDER / "async_client.py")
    for order in (["check", "--fix", "--quiet", "--exit-zero"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *order, "--stdin-filename", target, "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


def _method(text: str) -> str:
    text = text.replace("Iterator[", "AsyncIterator[")
    if not re.search(r"self\.(_do|_tagged|lease)\(", text):
        return text
    text = text.replace("    def ", "    async def ", 1).replace("time.sleep(", "await asyncio.sleep(")
    return re.sub(r"self\.(_do|_tagged|lease)\(", r"await self.\1(", text)


def main() -> int:
    """The command."""
    wanted = made((FOLDER / "client.py").read_text(encoding="utf-8"))
    target = FOLDER / "async_client.py"
    if "--check" in sys.argv[1:]:
        return int(target.read_text(encoding="utf-8") != wanted)
    target.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
