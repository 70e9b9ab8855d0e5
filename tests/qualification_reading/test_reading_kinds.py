"""Which tool printed a text is told by what stands in it, and every kind of the fixtures is read."""

from __future__ import annotations

import json

import pytest

from _recorded_node import all_reduce, nvlinks, outputs, ports, smi_xml, topology
from sublet.qualification.reading.detect import read

KINDS = {
    "smi.xml": "nvidia-smi -q -x",
    "topo.txt": "nvidia-smi topo -m",
    "nvlink.txt": "nvidia-smi nvlink -s",
    "ibstat.txt": "ibstat",
    "dmesg.txt": "dmesg",
    "nccl.log": "nccl-tests all_reduce_perf",
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_the_kind_is_told_by_what_stands_in_the_text(name, kind):
    reading = read(outputs()[name].encode())
    assert reading.kind == kind
    assert reading.data is not None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("No devices were found\n", "nvidia-smi"),
        ("GPU 0: NVIDIA L40S (UUID: GPU-0)\nDevice does not have or support Nvlink\n", "nvidia-smi nvlink -s"),
        ("GPU 0: NVIDIA L40S (UUID: GPU-0)\nGPU 1: NVIDIA L40S (UUID: GPU-1)\n", "nvidia-smi -L"),
        ("ERROR: this application must be run on at least 2 nodes\n", "GPCNeT"),
        ('{"mlx5_0/ports/1/state": "4: ACTIVE", "mlx5_0/ports/1/rate": "400 Gb/sec"}', "/sys/class/infiniband"),
        (
            '{"event": "Diagnostic summary", "passed": 1, "failed": 0, "warned": 0, "total": 1}\n',
            "DCGM preflight events",
        ),
        ("cpu_to_gpu0_by_dma_under_numa0 26.2\n", "gpu_copy"),
        ("STREAM_COPY_double_gpu_0_buffer_4294967296_block_128    6711.67 81.93\n", "gpu_stream"),
        ("bytes\tbusbw_a\tbusbw_b\n1024\t1\t2\n", "measured table"),
        ("hello\n", "unknown"),
        ("", "unknown"),
        ("[]", "gpud states"),
        ("17", "unknown"),
    ],
)
def test_small_texts_have_their_kind(text, kind):
    assert read(text).kind == kind


def test_escape_sequences_and_windows_line_ends_change_nothing():
    plain = read(topology())
    dressed = read(topology().replace("GPU0\tGPU1", "\x1b[4mGPU0\tGPU1", 1).replace("\n", "\r\n"))
    assert dressed.data == plain.data


def test_prefixes_of_launchers_are_taken_off():
    lines = all_reduce({1024: 446.0}).splitlines()
    plain = read("\n".join(lines) + "\n")
    for prefix in ("0: ", "(head, rank=0, pid=3808) [1,0]<stdout>:", "[1,0]<stdout>:"):
        prefixed = read("".join(f"{prefix}{line}\n" for line in lines))
        assert prefixed.data.points == plain.data.points, prefix


def test_utf16_as_a_windows_shell_writes_it_is_read():
    assert read(smi_xml(2).encode("utf-16")).count == 2


def test_the_name_of_a_file_means_nothing(tmp_path):
    assert read(ports().encode(), source="nvidia-smi.xml").kind == "ibstat"
    assert read(nvlinks().encode(), source="ibstat.txt").kind == "nvidia-smi nvlink -s"


def test_every_fixture_has_the_kind_that_the_manifest_gives(shared):
    folder = shared / "fixtures/qualify"
    for row in json.loads((folder / "manifest.json").read_text()):
        kind = read((folder / row["file"]).read_bytes()).kind
        words = {"provider health check": "OCI", "fabric manager log": "fabric", "gpud states": "gpud"}
        assert row["kind"].startswith(words.get(kind, kind.replace("all_reduce_perf", "all_"))), row["file"]
