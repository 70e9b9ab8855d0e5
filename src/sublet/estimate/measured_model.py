"""The model that a measured row ran: its stated dimensions, completed by the built-in of its name and by its size.

Invariant: what the row states wins over what a built-in says; what neither states is inferred from the stated number
of parameters, and every inference is named in a sentence.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

from sublet.errors import InputError
from sublet.estimate.rows import Row
from sublet.workload import builtin
from sublet.workload.model import Experts, Model
from sublet.workload.parameters import count

_EXPERT_FFN = re.compile(r"(?:expert|moe)[_ -]*(?:ffn|intermediate|hidden)[a-z_ ]*[=: ]\s*([\d,]+)", re.IGNORECASE)
_ASPECT = 128  # hidden / layers of GPT-3 175B, Brown et al. 2020, table 2.1
_CLOSE = 0.05


def model_of(row: Row) -> tuple[Model, tuple[str, ...]]:
    """The model of `row` and the assumptions that it took; InputError where nothing tells what was trained."""
    known = _builtin(row.text("model"))
    layers, hidden = row.whole("layers"), row.whole("hidden")
    if known is not None and _agrees(row, known):
        return _with_row(row, known), ()
    if layers is not None and hidden is not None:
        if row.whole("experts") and (row.whole("experts") or 0) > 1:
            return _mixture(row, layers, hidden, known)
        return _dense(row, layers, hidden, known), ()
    parameters = row.positive("params_b") or _billions(row.text("model"))
    if parameters is not None and not row.whole("experts"):
        return _of_size(row, parameters * 1e9)
    raise InputError(f"the model {row.text('model') or '(unnamed)'} is no built-in and its dimensions are not stated")


def _builtin(name: str) -> Model | None:
    """The built-in of that name; a name with a remark behind it ("GPT-3 175B (nvfuser)") is tried without it."""
    for spelling in dict.fromkeys((name, re.sub(r"[(\[].*", "", name).strip(), name.replace("_", "-"))):
        if spelling:
            try:
                return builtin.model(spelling)
            except InputError:
                continue
    return None


def _agrees(row: Row, known: Model) -> bool:
    """True where no dimension that the row states contradicts the built-in (heads and vocabulary may be set)."""
    for column, value in (("layers", known.layers), ("hidden", known.hidden)):
        stated = row.whole(column)
        if stated is not None and stated != value:
            return False
    experts = row.whole("experts")
    if experts is not None and experts > 1 and (known.experts is None or experts != known.experts.count):
        return False
    ffn = row.whole("ffn_hidden")
    if ffn is not None and known.experts is None and ffn != known.ffn_hidden:
        return False
    parameters = row.positive("params_b")
    return parameters is None or abs(count(known).total / (parameters * 1e9) - 1) < 3 * _CLOSE


def _with_row(row: Row, known: Model) -> Model:
    """The built-in with the row's heads and vocabulary, and the position table that explains its parameter count."""
    heads = row.whole("heads") or known.heads
    changed = replace(
        known,
        heads=heads,
        kv_heads=row.whole("kv_heads") or (known.kv_heads if heads == known.heads else heads),
        head_dim=row.whole("head_dim") or (known.head_dim if heads == known.heads else known.hidden // heads),
        vocab=row.whole("vocab") or known.vocab,
    )
    if known.latent is not None:
        changed = replace(known, vocab=changed.vocab)
    sequence = row.whole("seq_len") or 0
    tables = [changed] if not changed.max_positions else [replace(changed, max_positions=n) for n in (sequence, 0)]
    return _nearest(row, [changed, *tables])


def _dense(row: Row, layers: int, hidden: int, known: Model | None) -> Model:
    """A dense model from stated dimensions: gate, tied embeddings and position table from its parameter count."""
    heads = row.whole("heads") or (known.heads if known is not None else max(hidden // 128, 1))
    head_dim = row.whole("head_dim") or max(hidden // heads, 1)
    ffn = row.whole("ffn_hidden")
    vocab = row.whole("vocab") or (known.vocab if known is not None else 32000)
    sequence = row.whole("seq_len") or 0
    plain = Model(
        name=row.text("model") or f"{layers} layers x {hidden}",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=row.whole("kv_heads") or heads,
        head_dim=head_dim,
        ffn_hidden=ffn or 4 * hidden,
        vocab=vocab,
        gated=False,
        tied_embeddings=True,
        source="dimensions stated by the measured row",
    )
    if row.positive("params_b") is None:
        gated = ffn is not None and ffn != 4 * hidden
        return replace(plain, gated=gated, tied_embeddings=not gated, norm="rms" if gated else "layer")
    candidates = [
        replace(
            plain,
            gated=gated,
            tied_embeddings=tied,
            max_positions=positions,
            norm="rms" if gated else "layer",
            bias=not gated and bool(positions),
        )
        for gated, tied, positions in product((False, True), (True, False), (0, sequence))
        if not (gated and positions)
    ]
    return _nearest(row, candidates)


def _mixture(row: Row, layers: int, hidden: int, known: Model | None) -> tuple[Model, tuple[str, ...]]:
    """A mixture of experts from stated dimensions: the experts' width from a remark, the built-in or the total."""
    said: list[str] = []
    routed, active = row.whole("experts") or 1, row.whole("topk") or 1
    ffn = row.whole("ffn_hidden") or 4 * hidden
    base = replace(_dense(row, layers, hidden, known), gated=True, tied_embeddings=False, norm="rms", max_positions=0)
    base = replace(base, bias=False)

    def with_experts(width: int, shared_width: int = 0) -> Model:
        experts = Experts(
            routed, active, width, layers, shared=1 if shared_width else 0, shared_ffn_hidden=shared_width
        )
        return replace(base, ffn_hidden=ffn, experts=experts)

    total, visited = row.positive("params_b"), row.positive("params_active_b")
    remark = _EXPERT_FFN.search(f"{row.text('arch_source')} {row.text('notes')}")
    if remark is not None:
        width = int(remark.group(1).replace(",", ""))
    elif known is not None and known.experts is not None:
        width = known.experts.ffn_hidden
        said.append(f"width of an expert, {width}, from the built-in {known.name}")
    elif total is not None and abs(count(with_experts(ffn)).total / (total * 1e9) - 1) > _CLOSE:
        without = count(with_experts(1)).total
        width = max(round((total * 1e9 - without) / (3 * hidden * routed * layers) / 64) * 64, 64)
        said.append(f"width of an expert, {width}, from the stated number of parameters")
    else:
        width = ffn
    model = with_experts(width)
    if visited is not None:
        missing = visited * 1e9 - count(model).active
        if missing > _CLOSE * visited * 1e9:
            shared = round(missing / (3 * hidden * layers) / 64) * 64
            if shared > 0:
                model = with_experts(width, shared)
                said.append(f"a shared expert of width {shared} from the stated number of active parameters")
    return model, tuple(said)


def _nearest(row: Row, candidates: list[Model]) -> Model:
    """The candidate whose parameter count is nearest to the row's; the first where it states none."""
    parameters = row.positive("params_b")
    if parameters is None:
        return candidates[0]
    wanted = parameters * 1e9
    return min(candidates, key=lambda model: abs(count(model).total - wanted))


def _of_size(row: Row, parameters: float) -> tuple[Model, tuple[str, ...]]:
    """A GPT-3-like shape of that size: 12 layers x hidden^2 parameters, hidden = 128 x layers."""
    layers = max(round((parameters / (12 * _ASPECT**2)) ** (1 / 3)), 1)
    hidden = max(round((parameters / (12 * layers)) ** 0.5 / 128), 1) * 128
    name = row.text("model") or f"{parameters / 1e9:.3g}B"
    heads = max(hidden // 128, 1)
    model = Model(
        name, layers, hidden, heads, heads, 128, 4 * hidden, row.whole("vocab") or 50257, False, True, norm="layer"
    )
    return model, (f"dimensions not stated: {layers} layers of width {hidden} presumed, as GPT-3 is shaped",)


def _billions(name: str) -> float | None:
    """Billions of parameters that a name states ("MT-NLG-530B")."""
    found = re.search(r"(\d+(?:\.\d+)?)\s*([bt])\b", name, re.IGNORECASE)
    if found is None:
        return None
    return float(found.group(1)) * (1000.0 if found.group(2).lower() == "t" else 1.0)
