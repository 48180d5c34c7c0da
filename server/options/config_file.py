"""The YAML configuration file, read as etcd reads it.

Laws: keys are flag names, in any case, with the two TLS sections; a value has its key's type or
the start ends with the text Go's JSON decoder would give; URL lists are comma strings; an empty
string keeps a list's default. Unknown keys are ignored with a warning. The YAML library is
imported only here and only when there is a file, since it costs a tenth of the start-up time.
"""

from collections.abc import Callable
from pathlib import Path

from golang.quoting import go_quote
from server.notice import Exit, Notice, warning
from server.options.option import Option
from server.options.settings import Settings
from server.options.table import BY_NAME, OPTIONS
from server.options.values import RANGES, BadValue, Kind

FILE_BYTES_MAX = 1 << 20
"""A configuration is a few kilobytes; more is some other file."""

SECTIONS = frozenset({"client-transport-security", "peer-transport-security"})
GO_TYPES: dict[Kind, str] = {
    Kind.UINT: "uint",
    Kind.UINT64: "uint64",
    Kind.UINT32: "uint32",
    Kind.INT: "int",
    Kind.INT64: "int64",
    Kind.BOOL: "bool",
    Kind.DURATION: "time.Duration",
    Kind.WORDS: "[]string",
}
"""What Go calls a value in its errors; a string everywhere else."""

_LISTS_IN_STRINGS = (Kind.URLS, Kind.ORIGINS, Kind.HOSTS)
_URL_ORDER = (
    "listen-peer-urls",
    "listen-client-urls",
    "initial-advertise-peer-urls",
    "advertise-client-urls",
    "listen-metrics-urls",
    "cors",
    "host-whitelist",
)
"""etcd parses lists after everything is decoded, in this order."""
_CHOICES = {"proxy": "proxyFlag", "discovery-fallback": "discovery-fallback flag"}

_OPTIONS: dict[tuple[str, str], Option] = {o.yaml_path: o for o in OPTIONS if o.yaml_path[1]}

ReadFile = Callable[[Path], bytes]


class FileError(Exception):
    """The file cannot be used; the message is etcd's where it has one."""


def read_file(path: Path) -> bytes:
    """The file's bytes, at most one more than are allowed."""
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


def apply(path: str, settings: Settings, *, read: ReadFile) -> list[Notice]:
    """Put the file's values into the settings; what is worth a log line is returned."""
    root = _document(path, read)
    if root is None:
        return []
    texts: dict[str, str] = {}
    if not isinstance(root, dict):
        raise FileError(_mismatch(root, "value", "embed.configYAML"))
    notices: list[Notice] = []
    for key, value in _sorted(root):
        section = key.lower()
        if section not in SECTIONS:
            notices += _take(settings, texts, ("", key), value)
        elif isinstance(value, dict):
            for inner, inner_value in _sorted(value):
                notices += _take(settings, texts, (section, inner), inner_value)
        elif value is not None:
            raise FileError(_mismatch(value, f"configYAML.{section}", "embed.securityConfig"))
    _apply_texts(settings, texts)
    return notices


def _document(path: str, read: ReadFile) -> object:
    try:
        data = read(Path(path))
    except OSError as error:
        verb = "read" if isinstance(error, IsADirectoryError) else "open"
        raise FileError(f"{verb} {path}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a NUL in the path
        raise FileError(f"open {path}: invalid argument") from error
    if len(data) > FILE_BYTES_MAX:
        raise FileError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    from server.options.yaml_document import YamlError, parse_yaml

    try:
        return parse_yaml(data)
    except YamlError as error:
        raise FileError(f"error converting YAML to JSON: yaml: {error}") from error


def _sorted(mapping: dict[object, object]) -> list[tuple[str, object]]:
    # etcd goes through JSON, whose keys Go sorts: of two spellings the later one wins.
    return sorted(((str(key), value) for key, value in mapping.items()), key=lambda item: item[0])


def _take(
    settings: Settings, texts: dict[str, str], where: tuple[str, str], value: object
) -> list[Notice]:
    section, key = where
    option = _OPTIONS.get((section, key.lower()))
    if option is None:
        return [warning("etcdmain", _unknown(section, key))]
    if value is None:
        return []
    name = f"configYAML.{key.lower()}"
    if section:
        name = f"securityConfig.{section}.{key.lower()}"
    elif option.name.startswith("proxy") or option.name in _CHOICES:
        name = f"configProxy.{key.lower()}"
    _put(settings, texts, option, name=name, value=value)
    return []


def _unknown(section: str, key: str) -> str:
    elsewhere = BY_NAME.get(key.lower())
    where = f"{section}." if section else ""
    hint = ""
    if elsewhere and elsewhere.yaml_path[0]:
        hint = f" (it belongs there as {'.'.join(elsewhere.yaml_path)})"
    return f"ignored: unknown key {go_quote(where + key)} in the configuration file{hint}"


def _put(
    settings: Settings, texts: dict[str, str], option: Option, *, name: str, value: object
) -> None:
    wanted = GO_TYPES.get(option.kind, "string")
    if option.kind is Kind.BOOL and isinstance(value, bool):
        settings.put(option.name, value)
    elif option.kind in RANGES:
        settings.put(option.name, _integer(option.kind, value, name))
    elif option.kind is Kind.WORDS and isinstance(value, list):
        for word in value:
            if not isinstance(word, str):
                raise FileError(_mismatch(word, name, "string"))
        if value:
            settings.put(option.name, tuple(sorted(set(value))))
    elif wanted == "string" and isinstance(value, str):
        if option.kind in _LISTS_IN_STRINGS or option.name in _CHOICES:
            texts[option.name] = value
        else:
            settings.put(option.name, value)
    else:
        raise FileError(_mismatch(value, name, wanted))


def _integer(kind: Kind, value: object, name: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        shown = f" {value}" if isinstance(value, float) else ""
        raise FileError(_mismatch(value, name, GO_TYPES[kind], shown=shown))
    low, high = RANGES[kind]
    if not low <= value <= high:
        raise FileError(_mismatch(value, name, GO_TYPES[kind], shown=f" {value}"))
    return value


def _apply_texts(settings: Settings, texts: dict[str, str]) -> None:
    order = sorted(texts, key=(*_URL_ORDER, *_CHOICES).index)
    for name in order:
        if texts[name] == "":
            continue
        try:
            settings.parse(BY_NAME[name], texts[name])
        except BadValue as error:
            what = _CHOICES.get(name, name)
            text = f"unexpected error setting up {what}: {error}\n"
            raise Exit(1, stderr_text=text) from error


def _mismatch(value: object, name: str, go_type: str, *, shown: str = "") -> str:
    target = "Go value" if name == "value" else f"Go struct field {name}"
    return (
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
        f"{_json_type(value)}{shown} into {target} of type {go_type}"
    )


def _json_type(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case list() | tuple():
            return "array"
        case dict() | set():
            return "object"
    return "string"
