"""One option: everything there is to know about it, in one row.

The table of rows is `table`; flags, variables, YAML keys, help and docs are all derived
from a row, so an option is added or changed in one place. A row knows no value given by a user.
"""

from dataclasses import dataclass

from server.options.urls import BadUrl, parse_url, parse_urls
from server.options.values import (
    BadValue,
    Kind,
    Value,
    parse_bool,
    parse_duration,
    parse_number,
    parse_origins,
    parse_words,
)

ENV_PREFIX = "ETCD_"


@dataclass(frozen=True, slots=True)
class Option:
    """A flag, its `ETCD_*` variable and its YAML key."""

    name: str
    kind: Kind
    default: str
    status: str
    """`Y` = part of a v2 server; `A` = accepted, not honoured; `L` = a name of old unit files;
    `-` = of etcd's v3 API only."""
    group: str
    since: str
    """The first of 2.0, 2.3, 3.2, 3.4 that had it; `pyetcd` for our own."""
    help: str
    choices: tuple[str, ...] = ()
    yaml: str = ""
    """`section/key` where the YAML key is not the name at top level; `-` where there is none."""

    @property
    def env(self) -> str:
        """The environment variable."""
        return ENV_PREFIX + self.name.upper().replace("-", "_")

    @property
    def yaml_path(self) -> tuple[str, str]:
        """Section ("" = top level) and key in the YAML file; the key is "" where there is none."""
        if self.yaml == "-" or self.status == "L":
            return "", ""
        section, _, key = self.yaml.rpartition("/")
        return section, key or self.name

    @property
    def default_value(self) -> Value:
        """The default, parsed."""
        if self.default == "":
            return () if self.kind in _LISTS else ""
        return self.parse(self.default)

    def parse(self, text: str) -> Value:
        """The text as a value; raises BadValue with Go's message."""
        if text == "" == self.default and self.kind in _LISTS:
            return ()
        try:
            return self._parse(text)
        except BadUrl as error:
            raise BadValue(str(error)) from None

    def _parse(self, text: str) -> Value:
        match self.kind:
            case Kind.BOOL:
                return parse_bool(text)
            case Kind.UINT | Kind.UINT64 | Kind.UINT32 | Kind.INT | Kind.INT64:
                return parse_number(self.kind, text)
            case Kind.DURATION:
                return parse_duration(text)
            case Kind.URLS:
                return parse_urls(text.split(","))
            case Kind.ORIGINS:
                return parse_origins(text)
            case Kind.WORDS | Kind.HOSTS:
                return parse_words(text)
            case Kind.HOST_PORT:
                parse_url(f"http://{text}")
            case Kind.CHOICE if text not in self.choices:
                raise BadValue("invalid value")
            case Kind.ABOLISHED:
                raise BadValue(f'flag "-{self.name}" is no longer supported.')
        return text


_LISTS = frozenset({Kind.URLS, Kind.WORDS, Kind.ORIGINS, Kind.HOSTS})
