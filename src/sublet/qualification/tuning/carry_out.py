"""Carry out a plan: note the way back, change, observe the same check again, keep what helped and undo the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sublet.qualification.hosts.protocol import Host
from sublet.qualification.judging.values import Finding
from sublet.qualification.tuning.journal import Entry, Journal, State
from sublet.qualification.tuning.plan import Remedy, Step

Observe = Callable[[], Sequence[Finding]]
Commands = list[tuple[str, ...]]
_TIMEOUT_S = 60.0
# one file a line, its path, a tab, its content
_SHOW = 'for f in $1; do [ -f "$f" ] && printf "%s\\t%s\\n" "$f" "$(cat "$f")"; done; true'
_PUT = 'printf "%s\\n" "$1" > "$2"'


@dataclass(frozen=True)
class Done:
    """What became of a step. `before`, `after`: what the check said."""

    remedy: str
    check: str
    state: State | Literal["refused"]
    said: str
    before: str
    after: str = ""


def carry_out(steps: Sequence[Step], host: Host, journal: Journal, observe: Observe) -> list[Done]:
    """Each step that is not refused, in order; undone where its check fails as before, or a command breaks off."""
    done = []
    for step in steps:
        before = step.finding.message
        if step.refused:
            done.append(Done(step.remedy.id, step.remedy.check, "refused", step.refused, before))
            continue
        ways = _ways(step, host)
        if ways is None:
            said = "the setting cannot be read, so there would be no way back"
            done.append(Done(step.remedy.id, step.remedy.check, "refused", said, before))
            continue
        done.append(_try(step, ways, host, journal, observe))
    return done


def _try(step: Step, ways: tuple[Commands, Commands], host: Host, journal: Journal, observe: Observe) -> Done:
    remedy, check, before = step.remedy.id, step.remedy.check, step.finding.message
    entry = journal.begin(remedy, ways[1])
    broken = _run(ways[0], host)
    after = [each for each in observe() if each.check == check]
    failed = [each for each in after if each.outcome == "fail"]
    told = (failed or after)[:1]
    words = told[0].message if told else "it is not observed any more"
    if not broken and after and not failed:
        journal.write(Entry(entry.number, remedy, "kept", entry.undo))
        return Done(remedy, check, "kept", "", before, words)
    why = broken or ("the check fails as before" if failed else "the check cannot be observed after")
    return Done(remedy, check, _undo(entry, host, journal, "rolled back", why), why, before, words)


def restore(host: Host, journal: Journal) -> list[Entry]:
    """Put back everything that is changed, the latest change first. Entries that cannot be are "stuck"."""
    for entry in journal.open_entries():
        _undo(entry, host, journal, "restored", entry.said)
    return sorted(journal.entries, key=lambda each: each.number)


def _undo(entry: Entry, host: Host, journal: Journal, state: State, said: str) -> State:
    broken = _run(list(entry.undo), host)
    state = "stuck" if broken else state
    journal.write(Entry(entry.number, entry.remedy, state, entry.undo, broken or said))
    return state


def _run(commands: Commands, host: Host) -> str:
    """Why it broke off; empty where all went well."""
    for command in commands:
        output = host.run(command, _TIMEOUT_S)
        if output.status != 0:
            told = output.why or output.err.decode(errors="replace").strip().split("\n")[-1]
            return f"{' '.join(command)[:80]}: {told[:160] or f'status {output.status}'}"
    return ""


def _ways(step: Step, host: Host) -> tuple[Commands, Commands] | None:
    """The commands there and back; None where what is set cannot be read."""
    remedy = step.remedy
    if remedy.path:
        names = step.finding.where if remedy.parts else ("",)
        pairs = [each for name in names for each in _files(remedy, name, host)]
        there: Commands = [_put(remedy.value, path) for path, old in pairs if old != remedy.value]
        back: Commands = [_put(old, path) for path, old in pairs if old != remedy.value]
        return (there, back) if there else None
    old, new = _read(remedy.read, remedy.pattern, host), _read(remedy.target, remedy.pattern, host)
    if not old or (remedy.target and len(new) != len(old)):
        return None
    there, back = [], []
    for index, value in enumerate(old):
        facts = {"{old}": remedy.words.get(value, value.replace(" ", "")), "{new}": new[index] if new else ""}
        there.append(_filled(remedy.apply, facts, index))
        if remedy.undo:
            back.append(_filled(remedy.undo, facts, index))
    return there, back


def _filled(command: tuple[str, ...], facts: dict[str, str], index: int) -> tuple[str, ...]:
    words = [facts.get(word, word) for word in command]
    return (words[0], "-i", str(index), *words[1:]) if words[0] == "nvidia-smi" else tuple(words)


def _read(command: tuple[str, ...], pattern: str, host: Host) -> list[str]:
    """One value a line: nvidia-smi prints a line a GPU. `systemctl is-active` leaves with 3 and a good answer."""
    if not command:
        return []
    lines = host.run(command, _TIMEOUT_S).out.decode(errors="replace").split("\n")
    return [found[1] for line in lines if (found := re.search(pattern, line))]


def _put(value: str, path: str) -> tuple[str, ...]:
    return ("sh", "-c", _PUT, "sh", value, path)


def _files(remedy: Remedy, name: str, host: Host) -> list[tuple[str, str]]:
    if name and not re.fullmatch(r"[\w.-]{1,32}", name):
        return []
    output = host.run(("sh", "-c", _SHOW, "sh", remedy.path.replace("{part}", name)), _TIMEOUT_S)
    found = []
    for line in output.out.decode(errors="replace").split("\n"):
        path, mark, content = line.partition("\t")
        value = re.search(remedy.pattern, content)
        if mark and value:
            found.append((path, value[1]))
    return found
