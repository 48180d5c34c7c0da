"""What Go's encoding/json puts into the fields of a struct, and what it says of a value that fits
none.

    MEMBER = Struct("client.Member", {"name": TEXT, "clientURLs": List(TEXT)})
    unmarshal(b'{"NAME":"a","clientURLs":[null,5]}', MEMBER)
        # WrongType: json: cannot unmarshal number into Go struct field Member.clientURLs of ...
        # .filled: {"name": "a", "clientURLs": ["", ""]}

Laws: names are taken in any case; what is not said of a field leaves it empty, and so does null. A
value that fits no field is passed over and the rest is filled; the first of these is the complaint.
What is said twice goes over what was said before, also item by item and member by member.
DEVIATES: there are no numbers among the fields; an array that is longer than one before it finds
what that one has left there, as in Go only while it fits into the memory of the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from golang.json_text import BadJson, Object, Value, decode, folded, kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Shape: TypeAlias = "Scalar | List | Struct | Pointer"


class Scalar(NamedTuple):
    """A string or a bool; `empty` is what it is until something is said."""

    go_type: str
    empty: str | bool


class List(NamedTuple):
    """A slice; None while nothing is said of it."""

    item: Shape

    @property
    def go_type(self) -> str:
        """As in Go's complaints."""
        return f"[]{self.item.go_type}"


class Struct(NamedTuple):
    """A struct: a dict with all its fields."""

    go_type: str
    fields: Mapping[str, Shape]

    @property
    def name(self) -> str:
        """What Go calls it in front of a field: nothing, if it has no name."""
        return "" if self.go_type.startswith("struct {") else self.go_type.rpartition(".")[2]

    def field(self, name: str) -> tuple[str, Shape] | None:
        """The field that a member of an object goes into."""
        found = (field for field in self.fields.items() if folded(field[0]) == folded(name))
        return next(found, None)


class Pointer(NamedTuple):
    """Something that need not be there: then it is None."""

    to: Struct

    @property
    def go_type(self) -> str:
        """As in Go's complaints."""
        return self.to.go_type


TEXT: Final = Scalar("string", "")
BOOL: Final = Scalar("bool", False)


class WrongType(BadJson):
    """A value fits no field; `filled` is what has been filled by all that do."""

    def __init__(self, complaint: str, filled: Any) -> None:
        super().__init__(complaint)
        self.filled = filled


def unmarshal(text: bytes, shape: Shape) -> Any:
    """What a text fills a shape with; raises BadJson, which may be WrongType."""
    value = decode(text)
    filled = _filled(shape, [value])
    if complaint := _complaint(shape, value, "", ()):
        raise WrongType(complaint, filled)
    return filled


def _filled(shape: Shape, said: Sequence[Value]) -> Any:
    """What is in one place after all that was said of it, in this order."""
    match shape:
        case Scalar():
            fitting: list[Any] = [each for each in said if type(each) is type(shape.empty)]
            return fitting[-1] if fitting else shape.empty
        case List():
            return _filled_list(shape, said)
        case Struct():
            objects = [each for each in said if isinstance(each, Object)]
            return {
                name: _filled(field, [value for each in objects for value in each.named(name)])
                for name, field in shape.fields.items()
            }
        case Pointer():
            since = max((at + 1 for at, each in enumerate(said) if each is None), default=0)
            return _filled(shape.to, said[since:]) if said[since:] else None


def _filled_list(shape: List, said: Sequence[Value]) -> list[Any] | None:
    places: list[list[Value]] = []
    length = None
    for value in said:
        if value is None:
            places, length = [], None
        elif isinstance(value, list):
            if not value:
                places = []
            length = len(value)
            places += [[] for _ in range(length - len(places))]
            for place, item in zip(places, value, strict=False):
                place.append(item)
    return None if length is None else [_filled(shape.item, place) for place in places[:length]]


def _complaint(shape: Shape, value: Value, owner: str, path: tuple[str, ...]) -> str:
    """Go's words for the first value that does not fit, in the order they are written; `owner` is
    the struct whose field, at `path`, it is to be.
    """
    complaints: list[str] = []
    match shape, value:
        case _, None:
            pass
        case Scalar(), _ if type(value) is type(shape.empty):
            pass
        case Pointer(), _:
            complaints = [_complaint(shape.to, value, owner, path)]
        case List(), list():
            complaints = [_complaint(shape.item, item, owner, path) for item in value]
        case Struct(), Object():
            found = ((shape.field(name), each) for name, each in value.members)
            complaints = [
                _complaint(field[1], each, shape.name, (*path, field[0]))
                for field, each in found
                if field is not None
            ]
        case _:
            place = f"struct field {owner}.{'.'.join(path)}" if path else "value"
            return f"json: cannot unmarshal {kind(value)} into Go {place} of type {shape.go_type}"
    return next(filter(None, complaints), "")
