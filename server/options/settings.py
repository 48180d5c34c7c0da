"""The values of all options while they are being gathered: defaults, overwritten source by source.

Laws: every option has a value at any time; a value has its option's type; it is known which
options were given by the user, since some defaults and checks depend on that (etcd's "is set").
Precedence is the caller's order of setting.
"""

from collections.abc import Iterator

from server.options.option import Option
from server.options.table import BY_NAME, OPTIONS
from server.options.urls import Url
from server.options.values import Kind, Value


class Settings:
    """Option name to value."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {o.name: o.default_value for o in OPTIONS}
        self._given: dict[str, None] = {}

    def parse(self, option: Option, text: str) -> None:
        """Set from a text; raises BadValue. An empty URL list keeps the value, as in etcd."""
        if option.kind is Kind.URLS and text == "":
            self._given[option.name] = None
            return
        self.put(option.name, option.parse(text))

    def put(self, name: str, value: Value) -> None:
        """Set to a value, as given by the user."""
        self._values[name] = value
        self._given[name] = None

    def derive(self, name: str, value: Value) -> None:
        """Set to a value that follows from other options; the option does not count as given."""
        self._values[name] = value

    def is_given(self, name: str) -> bool:
        """Whether the user set it, to whatever value."""
        return name in self._given

    def is_default(self, name: str) -> bool:
        """Whether the value is the table's default."""
        return self._values[name] == BY_NAME[name].default_value

    def changed(self) -> Iterator[Option]:
        """The options given with a value other than the default, in the order given."""
        return (BY_NAME[name] for name in self._given if not self.is_default(name))

    def text(self, name: str) -> str:
        """The value of a text option."""
        value = self._values[name]
        assert isinstance(value, str), name
        return value

    def number(self, name: str) -> int:
        """The value of a number."""
        value = self._values[name]
        assert isinstance(value, int), name
        return value

    def truth(self, name: str) -> bool:
        """The value of a switch."""
        return self._values[name] is True

    def words(self, name: str) -> tuple[str, ...]:
        """The value of a list of words."""
        return tuple(str(word) for word in self._sequence(name))

    def urls(self, name: str) -> tuple[Url, ...]:
        """The value of a list of URLs."""
        return tuple(url for url in self._sequence(name) if isinstance(url, Url))

    def _sequence(self, name: str) -> tuple[str, ...] | tuple[Url, ...]:
        value = self._values[name]
        assert isinstance(value, tuple), name
        return value
