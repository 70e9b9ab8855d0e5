"""CPU seconds to read and judge a recorded node with eight GPUs, and a thousand of them. Targets: 0.1 and 20."""

from __future__ import annotations

from _harness import cpu_s, report
from _recorded_node import outputs
from sublet.qualification.judging.expectation import expected
from sublet.qualification.judging.judge import judge
from sublet.qualification.judging.values import Judgement
from sublet.qualification.reading.detect import read

SOLD = "H100 SXM x8, 8x400G"


def judged(texts: dict[str, bytes]) -> Judgement:
    """One node, from the bytes of its recording."""
    return judge([read(text, source=name) for name, text in texts.items()], expected(SOLD))


if __name__ == "__main__":
    node = {name: text.encode() for name, text in outputs().items()}
    judgement = judged(node)
    assert judgement.verdict in ("pass", "info"), judgement
    one, _ = cpu_s(lambda: judged(node))
    report("qualify_recorded_node", one, "CPU-s", at_most=0.1, bytes=sum(map(len, node.values())))
    many, _nodes = cpu_s(lambda: [judged(node) for _ in range(1000)], repeats=1)
    report("qualify_recorded_thousand_nodes", many, "CPU-s", at_most=20.0, nodes=1000)
