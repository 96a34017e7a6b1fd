"""The base of classes that hold fields."""

from typing import Any, ClassVar


class Record:
    """Compares by the values of its fields, and shows them.

    A data class would write both methods anew for each class, as text that is compiled at each start: two thirds of the
    time that it takes to make one. So subclasses are made with ``eq=False, repr=False``.
    """

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()
    __hash__: ClassVar[None]  # type: ignore[assignment] # its fields can change

    def _values(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__match_args__]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(self) is not type(other):
            return NotImplemented
        return self._values() == other._values()

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._values())
        return f"{type(self).__qualname__}({fields})"
