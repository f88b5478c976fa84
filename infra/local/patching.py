"""Replace attributes of moto for the life of one engine, and put them back."""

from collections.abc import Callable
from typing import Any


class Patches:
    """A stack of replacements, undone in reverse order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        # A method inherited from a base class is not in the owner's own namespace; putting it
        # back there would shadow the base for good.
        if name in vars(owner):
            before = vars(owner)[name]
            self._undo.append(lambda: setattr(owner, name, before))
        else:
            self._undo.append(lambda: delattr(owner, name))
        setattr(owner, name, value)

    def replace_item(self, mapping: Any, key: str, value: Any) -> None:
        before = mapping[key]
        self._undo.append(lambda: mapping.__setitem__(key, before))
        mapping[key] = value

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()
