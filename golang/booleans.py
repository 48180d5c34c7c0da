"""The words that Go's strconv.ParseBool takes, in flags, variables and parameters."""

from __future__ import annotations

from typing import Final

TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
