"""What a program may ask for: arguments are looked at before anything is sent.

Laws: pure. What cannot be meant is told by its name, with what is allowed: BadText for what has to
be a text, BadEndpoint and BadCredentials, which show no password, ValueError for a number, and
TypeError for another object. Nothing is made to fit: a condition that would be none, or a time to
live that would be for ever, is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyetcdctl.errors import BadCredentials, BadEndpoint, BadText

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INDEX_MAX: Final = (1 << 64) - 1
# What a duration of Go can hold, in which servers count.
TTL_MAX_S: Final = (1 << 63) // 1_000_000_000
_SHOWN_MAX: Final = 100


def text(name: str, value: str) -> None:
    """Raise BadText for what is none."""
    if not isinstance(value, str):
        raise BadText(f"{name} is {_shown(value)}, but has to be a text")


def texts(name: str, values: Sequence[str]) -> None:
    """Raise BadText for what is no list of texts."""
    if isinstance(values, str):
        raise BadText(f"{name}: a list of texts is wanted, and not the text {_shown(values)}")
    for position, value in enumerate(values):
        text(f"{name}[{position}]", value)


def endpoints(values: Iterable[str]) -> list[str]:
    """The list of URLs; raises BadEndpoint for what is none."""
    try:
        listed = None if isinstance(values, str | bytes) else [*values]
    except TypeError:
        listed = None
    if listed is None:
        kind = "text" if isinstance(values, str) else type(values).__name__
        raise BadEndpoint(f"endpoints: a list of URLs is wanted, and not one {kind}")
    for position, value in enumerate(listed):
        if not isinstance(value, str):
            kind = type(value).__name__
            raise BadEndpoint(f"endpoints[{position}]: a text is wanted, and not one {kind}")
    return listed


def credentials(values: tuple[str, str]) -> None:
    """Raise BadCredentials for what is no pair of texts."""
    is_pair = isinstance(values, tuple | list) and len(values) == 2
    if not is_pair or not all(isinstance(value, str) for value in values):
        raise BadCredentials(
            "credentials: a pair of texts is wanted, the user name and the password"
        )


def seconds(name: str, value: float | None) -> None:
    """Raise ValueError for what is no time to wait; None is for ever."""
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not value < TTL_MAX_S + 1:
        raise ValueError(
            f"{name} is {_shown(value)}, but has to be a number of seconds up to {TTL_MAX_S}, or "
            "None to wait for ever"
        )


def instance(name: str, value: object, kind: type) -> None:
    """Raise TypeError for what is not of a kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {_shown(value)}, but has to be a {kind.__name__}")


def ttl(value: int | None, *, is_needed: bool = False) -> None:
    """Raise ValueError for seconds that no key can live for; None is for ever."""
    if value is not None or is_needed:
        _whole("ttl", value, 1, TTL_MAX_S, " of seconds")


def index(name: str, value: int, first: int = 0) -> None:
    """Raise ValueError for what is no index."""
    _whole(name, value, first, INDEX_MAX)


def condition(prev_value: str | None, prev_index: int | None) -> None:
    """Raise what is wrong with the conditions of a write; those that are None are none."""
    if prev_value is not None:
        text("prev_value", prev_value)
        if not prev_value:
            raise ValueError("prev_value is '', but etcd has no condition of an empty value")
    if prev_index is not None:
        index("prev_index", prev_index, first=1)


def _whole(name: str, value: int | None, first: int, last: int, unit: str = "") -> None:
    if type(value) is not int or not first <= value <= last:
        raise ValueError(
            f"{name} is {_shown(value)}, but has to be a whole number{unit} from {first} to {last}"
        )


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > _SHOWN_MAX:
        return f"a number of {value.bit_length()} bits"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}..."
