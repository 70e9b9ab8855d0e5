"""One error tree. A message names the thing, the value seen, what would be right and, for a file, where (file:line)."""

from __future__ import annotations


class SubletError(Exception):
    """Anything Sublet refuses or cannot do; its text is one clear sentence. The command line exits with `exit_code`."""

    exit_code = 2


class InputError(SubletError):
    """What the user gave cannot be used (exit code 2)."""


class NothingFitsError(SubletError):
    """The question was good and the answer is: nothing; the text names the nearest miss (exit code 3)."""

    exit_code = 3
