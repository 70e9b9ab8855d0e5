"""One error tree. A message names the thing, the value seen, what would be right and, for a file, where (file:line)."""

from __future__ import annotations


class SubletError(Exception):
    """Anything Sublet refuses or cannot do; its text is one clear sentence. The command line exits with `exit_code`."""

    exit_code = 2


class InputError(SubletError):
    """What the user gave cannot be used (exit code 2). `where` (file:line) is put before the sentence."""

    def __init__(self, sentence: str, where: str | None = None) -> None:
        super().__init__(f"{where}: {sentence}" if where else sentence)
        self.sentence = sentence
        self.where = where

    def at(self, where: str) -> InputError:
        """The same error with the place where the value was found, unless it knows one already."""
        return self if self.where else InputError(self.sentence, where)


class NothingFitsError(SubletError):
    """The question was good and the answer is: nothing; the text names the nearest miss (exit code 3)."""

    exit_code = 3
