"""`nvidia-smi -q -x`: XML of schema v10 to v13. A cut document gives the GPUs that were whole, and says so."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from sublet.qualification.reading.smi_record import XML_FIELDS, Gpu, Process, SmiLog, fields_of
from sublet.qualification.reading.text import whole_number
from sublet.qualification.reading.values import Reading

KIND = "nvidia-smi -q -x"
_SCHEMA = re.compile(r"nvsmi_device_(v\d+)\.dtd")
_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]*>")
_LEFT_OUT = {"supported_clocks", "mig_devices", "accounted_processes", "supported_gpu_target_temp"}


def read(text: str) -> Reading:
    """The log as an SmiLog."""
    if "<!ENTITY" in text:
        return Reading(KIND, state="cut", why="the document declares entities, which nvidia-smi never does")
    schema = _SCHEMA.search(text)
    root, elements, error = _elements(_DOCTYPE.sub("", text, count=1).lstrip())
    gpus = tuple(_gpu(element) for element in elements)
    head = {child.tag: (child.text or "").strip() for child in root if child.tag != "gpu"} if root is not None else {}
    attached = whole_number(head.get("attached_gpus"))
    log = SmiLog(
        driver=head.get("driver_version", ""),
        cuda=head.get("cuda_version", ""),
        attached=attached,
        gpus=gpus,
        schema=schema[1] if schema else "",
    )
    return Reading(
        KIND,
        log,
        devices=tuple(gpu.fields["product"] for gpu in gpus if "product" in gpu.fields),
        count=len(gpus) or attached,
        state="cut" if error or not gpus else "whole",
        why=error or ("" if gpus else "it lists no GPU"),
    )


def _elements(text: str) -> tuple[ElementTree.Element | None, list[ElementTree.Element], str]:
    """The root, the GPUs that are whole, and what is wrong with the document."""
    try:
        whole = ElementTree.fromstring(text)  # noqa: S314
    except (ElementTree.ParseError, ValueError):
        pass
    else:
        return whole, whole.findall("gpu"), ""
    parser: Any = ElementTree.XMLPullParser(["start", "end"])
    root: ElementTree.Element | None = None
    elements: list[ElementTree.Element] = []
    error = ""
    try:
        parser.feed(text)
        parser.close()
    except (ElementTree.ParseError, ValueError) as failure:
        error = f"the XML is broken: {failure}"
    try:
        for event, element in parser.read_events():
            root = element if root is None else root
            if event == "end" and element.tag == "gpu":
                elements.append(element)
    except (ElementTree.ParseError, ValueError) as failure:
        error = error or f"the XML is broken: {failure}"
    return root, elements, error


def _gpu(element: ElementTree.Element) -> Gpu:
    paths: dict[str, str] = {}
    _flatten(element, "", paths)
    processes = element.find("processes")
    listed = None
    if processes is not None:
        listed = tuple(
            Process(
                (each.findtext("process_name") or "").strip(),
                (each.findtext("type") or "").strip(),
                (each.findtext("used_memory") or "").strip(),
            )
            for each in processes.iter("process_info")
        )
    return Gpu(element.get("id", ""), fields_of(paths, XML_FIELDS), listed)


def _flatten(element: ElementTree.Element, prefix: str, paths: dict[str, str]) -> None:
    stack = [(element, prefix)]
    while stack:
        parent, path = stack.pop()
        for child in parent:
            if child.tag in _LEFT_OUT:
                continue
            here = f"{path}{child.tag}"
            paths[here] = (child.text or "").strip()
            if len(child):
                stack.append((child, here + "/"))
