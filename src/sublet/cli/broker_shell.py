"""`sublet shell`: a terminal on a node of a lease, for as long as the lease serves.

A terminal is open file descriptors, which no HTTP request carries: it works where the broker is embedded in this
process and its provider runs commands here. Invariant: the caller's own terminal is as it was, however the shell ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sublet.cli.broker_connect import house_of, told
from sublet.cli.broker_inputs import LEASE, NODE

if TYPE_CHECKING:
    from sublet.providers.protocol import Process

LOOK_S = 0.2


@click.command()
@click.argument("lease", type=LEASE)
@click.option("--node", type=NODE, metavar="NODE", help="On this node; the lease's first, where you do not say.")
@click.option("--shell", "program", metavar="PROGRAM", default="sh", show_default=True, help="Which shell to start.")
def shell(lease: str, node: str | None, program: str) -> None:
    """A shell on a node of a lease, in the lease's own directory and environment; it ends with the lease.

    It opens on this machine's own broker and its `local` nodes; a server carries no terminals, only commands.
    """
    from sublet.errors import InputError

    if told("url"):
        raise InputError(
            f"a server carries no terminal: use sublet run {lease} -- COMMAND, or log in at the address that"
            f" sublet lease show {lease} names; a shell opens where the broker is embedded (without SUBLET_URL)"
        )
    with house_of(told("token") or None) as (house, secret):
        sys.exit(_shell(house, secret, lease, node, program))


def _shell(house: Any, secret: str, lease: str, node: str | None, program: str) -> int:
    from sublet.broker.errors import Conflict
    from sublet.broker.runs import service as runs
    from sublet.broker.tenants import tokens
    from sublet.providers.protocol import Declined, Stdio

    now = house.clock.now
    with house.database.transaction() as session:
        actor = tokens.authenticate(session, secret, address="127.0.0.1", now=now())
    made = house.database.run(
        lambda session: runs.begin(session, lease, argv=[program], node=node, actor=actor, now=now())
    )
    provider = house.providers.get(made.provider)
    terminal = sys.stdin.isatty()
    ours, given = _terminal() if terminal else (-1, _pipes())
    try:
        try:
            if provider is None or provider.name != "local":
                raise Conflict(
                    f"provider {made.provider!r} opens no shell here: sublet run {lease} -- COMMAND may work"
                )
            process = provider.execute(made.ref, [program], env=_environment(made.id), stdio=Stdio(*given))
        except (Declined, Conflict) as error:
            why = str(error)
            house.database.run(lambda session: runs.ended(session, made.id, status=None, reason=why, now=now()))
            raise
        finally:
            for number in set(given):
                os.close(number)
        house.database.run(lambda session: runs.started(session, made.id, process=process.id, now=now()))
        if terminal:
            with _raw(ours):
                _copy(ours, process)
        status: int | None = process.wait(5.0 if terminal else None)
    finally:
        if terminal:
            os.close(ours)
    if status is None:
        process.kill()
        status = -9
    # its status is told in words: an hour at a prompt is not the lease's job, by which the estimate is judged
    words = f"interactive; it ended with status {status}"
    house.database.run(lambda session: runs.ended(session, made.id, status=None, reason=words, now=now()))
    if status < 0:
        click.echo(
            f"the shell was ended (signal {-status}): sublet lease show {lease} says whether the lease was", err=True
        )
    return status if status >= 0 else 128 - status


def _terminal() -> tuple[int, tuple[int, int, int]]:
    """Our end of a new terminal, and what the shell is given of the other."""
    ours, theirs = os.openpty()
    return ours, (theirs, theirs, theirs)


def _pipes() -> tuple[int, int, int]:
    """Our own input and outputs, under numbers that nobody else takes."""
    sys.stdout.flush()
    return os.dup(0), os.dup(1), os.dup(2)


def _environment(run: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("TERM", "COLORTERM") if name in os.environ}
    return {"PS1": "$SUBLET_LEASE $ ", "SUBLET_RUN": run, **kept}


@contextlib.contextmanager
def _raw(ours: int) -> Iterator[None]:
    """Our terminal hands every key on, and its size goes to theirs."""
    import fcntl
    import signal
    import termios
    import tty

    mine = sys.stdin.fileno()
    before = termios.tcgetattr(mine)

    def sized(*_: object) -> None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(ours, termios.TIOCSWINSZ, fcntl.ioctl(mine, termios.TIOCGWINSZ, bytes(8)))

    handler = signal.signal(signal.SIGWINCH, sized)
    sized()
    try:
        tty.setraw(mine)
        yield
    finally:
        termios.tcsetattr(mine, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)


def _copy(ours: int, process: Process) -> None:
    """Keys to the shell and its output to us, until it ends."""
    import select

    keys = sys.stdin.fileno()
    while True:
        ready, _, _ = select.select([ours, keys], [], [], LOOK_S)
        if ours in ready:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other side is closed
                return
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        elif ready:
            os.write(ours, os.read(keys, 65536) or b"\x04")
        elif process.poll() is not None:
            return
