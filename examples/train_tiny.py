"""A real, small training run in NumPy alone: a decoder-only transformer with a backward pass written by hand.

    python examples/train_tiny.py                    # some 30 s on one core
    python examples/train_tiny.py --steps 20 --summary run.json

It learns a random Markov chain, so the loss falls from log(vocab) to the chain's own entropy. Nearly all of its time is
matrix multiplication in single precision, and how much of it there is is known beforehand (`gemm_flop_per_step`), so a
quote for it can be compared with what it took. `examples/train-tiny.yaml` is the same run as a job for `sublet quote`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Size:
    """The dimensions of the run; every layer has attention and a feed-forward of two matrices, all without biases."""

    layers: int = 2
    hidden: int = 384
    heads: int = 6
    ffn: int = 1536
    vocab: int = 512
    sequence: int = 128
    batch: int = 8

    @property
    def tokens_per_step(self) -> int:
        return self.sequence * self.batch

    @property
    def matrix_parameters(self) -> int:
        """Elements of the matrices that every token is multiplied with; the embedding is a table, its copy is not."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.ffn) + self.hidden * self.vocab

    @property
    def gemm_flop_per_step(self) -> int:
        """Multiplications and additions of every product in forward and backward (twice the forward), as executed.

        Attention multiplies the whole square of scores, masked half included.
        """
        attention = 2 * 2 * self.layers * self.tokens_per_step * self.sequence * self.hidden
        return 3 * (2 * self.tokens_per_step * self.matrix_parameters + attention)


def initial(size: Size, random: np.random.Generator) -> Arrays:
    """Random weights in single precision; the output matrix is the embedding's transpose (tied)."""

    def matrix(rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
        return (scale / np.sqrt(rows) * random.standard_normal((rows, columns))).astype(np.float32)

    h, f = size.hidden, size.ffn
    depth = 1 / np.sqrt(2 * size.layers)
    weights = {"embedding": matrix(size.vocab, h, np.sqrt(size.vocab) * 0.02), "norm": np.ones(h, np.float32)}
    weights["positions"] = matrix(size.sequence, h, np.sqrt(size.sequence) * 0.02)
    for layer in range(size.layers):
        weights |= {
            f"{layer}.norm1": np.ones(h, np.float32),
            f"{layer}.qkv": matrix(h, 3 * h),
            f"{layer}.out": matrix(h, h, depth),
            f"{layer}.norm2": np.ones(h, np.float32),
            f"{layer}.up": matrix(h, f),
            f"{layer}.down": matrix(f, h, depth),
        }
    return weights


def rms_norm(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x over its root mean square, times weight; with what the backward pass needs."""
    scale = 1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + np.float32(1e-6))
    normal = x * scale
    return normal * weight, normal, scale


def rms_norm_backward(
    up: np.ndarray, normal: np.ndarray, scale: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of x and of the weight."""
    inner = up * weight
    x = scale * (inner - normal * np.mean(inner * normal, axis=-1, keepdims=True))
    return x, np.einsum("th,th->h", up, normal)


def heads_of(x: np.ndarray, size: Size) -> np.ndarray:
    """(tokens, hidden) as (batch, heads, sequence, head width)."""
    return x.reshape(size.batch, size.sequence, size.heads, -1).transpose(0, 2, 1, 3)


def tokens_of(x: np.ndarray, size: Size) -> np.ndarray:
    """The way back of `heads_of`."""
    return x.transpose(0, 2, 1, 3).reshape(size.tokens_per_step, -1)


def attention(qkv: np.ndarray, size: Size, mask: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Causal self-attention of every head."""
    q, k, v = (heads_of(part, size) for part in np.split(qkv, 3, axis=-1))
    scores = (q @ k.swapaxes(-1, -2)) * np.float32((size.hidden // size.heads) ** -0.5) + mask
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return tokens_of(scores @ v, size), (q, k, v, scores)


def attention_backward(up: np.ndarray, saved: tuple[np.ndarray, ...], size: Size) -> np.ndarray:
    """Gradient of the projected queries, keys and values."""
    q, k, v, weights = saved
    above = heads_of(up, size)
    slope = above @ v.swapaxes(-1, -2)
    slope -= np.sum(slope * weights, axis=-1, keepdims=True)
    slope *= weights
    slope *= np.float32((size.hidden // size.heads) ** -0.5)
    parts = (slope @ k, slope.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ above)
    return np.concatenate([tokens_of(part, size) for part in parts], axis=-1)


def step_gradients(weights: Arrays, tokens: np.ndarray, targets: np.ndarray, size: Size) -> tuple[float, Arrays]:
    """Mean cross-entropy over all positions, and the gradient of every weight. Both inputs: (batch, sequence)."""
    mask = np.triu(np.full((size.sequence, size.sequence), -1e9, np.float32), 1)
    flat, wanted = tokens.reshape(-1), targets.reshape(-1)
    x = weights["embedding"][flat] + np.tile(weights["positions"], (size.batch, 1))
    saved: list[tuple[Any, ...]] = []
    for layer in range(size.layers):
        first, normal1, scale1 = rms_norm(x, weights[f"{layer}.norm1"])
        mixed, inside = attention(first @ weights[f"{layer}.qkv"], size, mask)
        x = x + mixed @ weights[f"{layer}.out"]
        second, normal2, scale2 = rms_norm(x, weights[f"{layer}.norm2"])
        active = np.maximum(second @ weights[f"{layer}.up"], 0)
        x = x + active @ weights[f"{layer}.down"]
        saved.append((first, normal1, scale1, mixed, inside, second, normal2, scale2, active))
    last, normal, scale = rms_norm(x, weights["norm"])
    logits = last @ weights["embedding"].T
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    rows = np.arange(len(flat))
    loss = float(-np.mean(np.log(logits[rows, wanted] + np.float32(1e-20))))

    logits[rows, wanted] -= 1
    logits /= len(flat)
    gradients: Arrays = {"embedding": logits.T @ last}
    up, gradients["norm"] = rms_norm_backward(logits @ weights["embedding"], normal, scale, weights["norm"])
    for layer in reversed(range(size.layers)):
        first, normal1, scale1, mixed, inside, second, normal2, scale2, active = saved[layer]
        gradients[f"{layer}.down"] = active.T @ up
        middle = (up @ weights[f"{layer}.down"].T) * (active > 0)
        gradients[f"{layer}.up"] = second.T @ middle
        below, gradients[f"{layer}.norm2"] = rms_norm_backward(
            middle @ weights[f"{layer}.up"].T, normal2, scale2, weights[f"{layer}.norm2"]
        )
        up = up + below
        gradients[f"{layer}.out"] = mixed.T @ up
        projected = attention_backward(up @ weights[f"{layer}.out"].T, inside, size)
        gradients[f"{layer}.qkv"] = first.T @ projected
        below, gradients[f"{layer}.norm1"] = rms_norm_backward(
            projected @ weights[f"{layer}.qkv"].T, normal1, scale1, weights[f"{layer}.norm1"]
        )
        up = up + below
    gradients["positions"] = up.reshape(size.batch, size.sequence, -1).sum(axis=0)
    np.add.at(gradients["embedding"], flat, up)
    return loss, gradients


class AdamW:
    """The optimizer; its state is two numbers per weight."""

    def __init__(self, weights: Arrays, rate: float) -> None:
        self._rate, self._count = rate, 0
        self._mean = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self._square = {name: np.zeros_like(weight) for name, weight in weights.items()}

    def update(self, weights: Arrays, gradients: Arrays) -> None:
        """One step, in place."""
        self._count += 1
        step = np.float32(self._rate * np.sqrt(1 - 0.95**self._count) / (1 - 0.9**self._count))
        for name, gradient in gradients.items():
            mean, square, weight = self._mean[name], self._square[name], weights[name]
            mean *= np.float32(0.9)
            mean += np.float32(0.1) * gradient
            square *= np.float32(0.95)
            square += np.float32(0.05) * np.square(gradient)
            weight -= step * mean / (np.sqrt(square) + np.float32(1e-8))


def batches(size: Size, random: np.random.Generator) -> Any:
    """Batches without end of a random Markov chain: nine times in ten the successor that the token has."""
    successor = random.permutation(size.vocab)
    while True:
        chain = random.integers(size.vocab, size=(size.batch, size.sequence + 1))
        keep = random.random((size.batch, size.sequence)) < 0.9
        for position in range(size.sequence):
            follow = successor[chain[:, position]]
            chain[:, position + 1] = np.where(keep[:, position], follow, chain[:, position + 1])
        yield chain[:, :-1], chain[:, 1:]


def train(size: Size, steps: int, *, seed: int = 0, rate: float = 3e-3, every: int = 10) -> dict[str, Any]:
    """Train and report: the run's sizes, seconds, FLOP and losses. Prints a line every `every` steps (0: never)."""
    random = np.random.default_rng(seed)
    weights = initial(size, random)
    optimizer, data = AdamW(weights, rate), batches(size, random)
    losses, seconds = [], []
    began = time.perf_counter()
    for number in range(1, steps + 1):
        at = time.perf_counter()
        loss, gradients = step_gradients(weights, *next(data), size)
        optimizer.update(weights, gradients)
        seconds.append(time.perf_counter() - at)
        losses.append(loss)
        if every and (number % every == 0 or number in (1, steps)):
            rate_now = size.gemm_flop_per_step / statistics.median(seconds[-every:])
            print(f"step {number:5d}  loss {loss:.4f}  {seconds[-1]:.3f} s  {rate_now / 1e9:.1f} GFLOP/s", flush=True)
    total = time.perf_counter() - began
    return {
        "schema": "sublet.train-tiny/1",
        "size": asdict(size),
        "steps": steps,
        "tokens": steps * size.tokens_per_step,
        "gemm_flop_per_step": size.gemm_flop_per_step,
        "seconds": total,
        "step_s": statistics.median(seconds),
        "gemm_flops": size.gemm_flop_per_step * steps / total,
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Train a tiny transformer in NumPy.")
    parser.add_argument("--steps", type=int, default=100)
    for name, value in asdict(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--summary", type=Path, help="write a JSON summary to this file")
    options = parser.parse_args(arguments)
    size = Size(**{name: getattr(options, name) for name in asdict(Size())})
    if options.steps < 1 or min(asdict(size).values()) < 1 or size.hidden % size.heads:
        parser.error("steps and sizes must be one or more, and hidden a multiple of heads")
    summary = train(size, options.steps, seed=options.seed)
    print(f"{summary['steps']} steps in {summary['seconds']:.2f} s, loss {summary['first_loss']:.3f} to", end=" ")
    print(f"{summary['last_loss']:.3f}, {summary['gemm_flops'] / 1e9:.1f} GFLOP/s of matrix products")
    if options.summary:
        options.summary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
