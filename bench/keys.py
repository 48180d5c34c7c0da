"""The keys of every measurement: up to a million files, a thousand in each directory.

Law: key.lua's `path` names the same keys.
"""

from typing import Final

KEYS_PER_DIRECTORY: Final = 1000
ROOT: Final = "/bench"


def key(number: int) -> str:
    """Return the key with that number; 0 is the first."""
    directory, file = divmod(number, KEYS_PER_DIRECTORY)
    return f"{ROOT}/d{directory:03d}/k{file:03d}"


def value(size_bytes: int) -> str:
    """Return a value that needs no escaping."""
    return "x" * size_bytes
