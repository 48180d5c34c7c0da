"""What a v2 client can be told went wrong: one table of codes, one exception.

Law: an EtcdError is an *answer*. It is deterministic, belongs to the API and is the same on every
member. Anything else that escapes from the store while a command is applied is a bug and ends the
process (design.md "State machine", rule 2). Source of the table: contract/keys.md section 10.2.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kvstore.gojson import quote


class Code(NamedTuple):
    """One row of etcd's catalogue: the message that goes with a code, and its HTTP status."""

    message: str
    http_status: int


KEY_NOT_FOUND: Final = 100
TEST_FAILED: Final = 101
NOT_FILE: Final = 102
NOT_DIR: Final = 104
NODE_EXIST: Final = 105
ROOT_READ_ONLY: Final = 107
DIR_NOT_EMPTY: Final = 108
PREV_VALUE_REQUIRED: Final = 201
TTL_NAN: Final = 202
INDEX_NAN: Final = 203
INVALID_FIELD: Final = 209
INVALID_FORM: Final = 210
REFRESH_VALUE: Final = 211
REFRESH_TTL_REQUIRED: Final = 212
RAFT_INTERNAL: Final = 300
EVENT_INDEX_CLEARED: Final = 401

CODES: Final[dict[int, Code]] = {
    KEY_NOT_FOUND: Code("Key not found", 404),
    TEST_FAILED: Code("Compare failed", 412),
    NOT_FILE: Code("Not a file", 403),
    NOT_DIR: Code("Not a directory", 400),
    NODE_EXIST: Code("Key already exists", 412),
    ROOT_READ_ONLY: Code("Root is read only", 400),
    DIR_NOT_EMPTY: Code("Directory not empty", 403),
    PREV_VALUE_REQUIRED: Code("PrevValue is Required in POST form", 400),
    TTL_NAN: Code("The given TTL in POST form is not a number", 400),
    INDEX_NAN: Code("The given index in POST form is not a number", 400),
    INVALID_FIELD: Code("Invalid field", 400),
    INVALID_FORM: Code("Invalid POST form", 400),
    REFRESH_VALUE: Code("Value provided on refresh", 400),
    REFRESH_TTL_REQUIRED: Code("A TTL must be provided on refresh", 400),
    RAFT_INTERNAL: Code("Raft Internal Error", 500),
    EVENT_INDEX_CLEARED: Code("The event in requested index is outdated and cleared", 400),
}

_PREFIX: Final[dict[int, bytes]] = {
    code: b'{"errorCode":%d,"message":%b' % (code, quote(row.message.encode()))
    for code, row in CODES.items()
}


class EtcdError(Exception):
    """A v2 error: `code` from CODES, `cause` as raw bytes (may hold user data), `index`.

    `index` is the store's index for errors of the store and 0 for errors of parameters and raft.
    """

    def __init__(self, code: int, cause: bytes = b"", index: int = 0) -> None:
        super().__init__(code, cause, index)
        self.code = code
        self.cause = cause
        self.index = index

    @property
    def http_status(self) -> int:
        return CODES[self.code].http_status

    def body(self) -> bytes:
        """The JSON document etcd sends, newline included."""
        cause = b',"cause":' + quote(self.cause) if self.cause else b""
        return b'%b%b,"index":%d}\n' % (_PREFIX[self.code], cause, self.index)
