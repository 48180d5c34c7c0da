"""A YAML text to plain values, with yaml.v2's idea of what an unquoted word is.

Laws: only mappings, sequences, strings, numbers, booleans and null come out; nothing is executed;
dates and base-60 numbers stay strings and `1e3` is a number, as in the library etcd uses; only
the first document counts. Importing this module imports the YAML library.
"""

import re

import yaml

from server.options.values import BadValue, Kind, parse_number

_MAPPED_BY_VALUE = (
    "tag:yaml.org,2002:timestamp",
    "tag:yaml.org,2002:int",
    "tag:yaml.org,2002:float",
)
_INT = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*)$", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$"
    r"|\.(?:nan|NaN|NAN)$",
    re.ASCII,
)


class YamlError(Exception):
    """The text is not YAML; the message says where, in one line."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {
        first: [(tag, rule) for tag, rule in rules if tag not in _MAPPED_BY_VALUE]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    plain = str(loader.construct_scalar(node)).replace("_", "")
    try:
        return parse_number(Kind.INT64, plain)
    except BadValue:
        return int(plain)  # 08, or beyond 64 bits: the type check reports what is wrong with it


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)

# What the library raises for broken YAML; all but the first for explicit tags it does not check
# (`!!int ""`, `!!bool x`, `!!timestamp x`) and for nesting deeper than the interpreter's stack.
_MALFORMED = (
    yaml.YAMLError,
    RecursionError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    OverflowError,
)


def parse_yaml(data: bytes) -> object:
    """The first document's value, None for an empty text; raises YamlError."""
    loader = None
    try:
        loader = _Loader(data)
        node = loader.get_node() if loader.check_node() else None
        return None if node is None else loader.construct_document(node)
    except _MALFORMED as error:
        raise YamlError(_one_line(error)) from error
    finally:
        if loader is not None:
            loader.dispose()


def _one_line(error: BaseException) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return " ".join(str(error).split()) or "malformed"
