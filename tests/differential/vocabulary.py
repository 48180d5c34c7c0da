"""The words of random requests: names, values, parameters, routes, good ones and bad ones."""

from tests.oracle.wire import FORM

NAMES = (b"a", b"b", b"c", b"d", b"_h", b"q")
ODD_NAMES = (
    b"a b", b"+", b"%", b"\xc3\xa9", b"\xe2\x98\x83", b"<k>&'\"", b"a;b", b"?", b"#", b"\x00",
    b"\n", b"\x7f", b"\xff", b"\\", b"...", b"=&", b"_", b"__", b":", b"*", b"00000000000000000009",
    b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"x" * 200, b"~!$'()*,;:@", b"[]{}|^`",
)  # fmt: skip
VALUES = (
    b"", b"1", b"2", b"bar", b"a b", b"\xc3\xa9", b"\xff\xfe", b"<a href=\"x\">&'</a>",
    b"\x00\x01\x08\t\n\x0c\r\x1f\x7f\\\"/", b"\xe2\x80\xa8\xe2\x80\xa9", b"\xf0\x9f\x98\x80",
    b'{"ttl":5,"expiration":"x","nodes":[3,1,2]}', b"\xed\xa0\x80\xc3", b"null", b" x ", b"+",
)  # fmt: skip
LONG_VALUE_BYTES = (1800, 1950, 2048, 4000, 70_000)
BOOLS = ("true", "true", "true", "false", "1", "0", "t", "F", "TRUE", "True", "f", "T", "False")
BAD_BOOLS = ("yes", "", "tRUE", "2", "true%20", "on", "TRUE%00", "01")
BAD_NUMBERS = (
    "-1", "1.5", "abc", "18446744073709551616", "%2B1", "%201", "0x10", "1e3", "1_000", "",
    "99999999999999999999999", "%D9%A1",
)  # fmt: skip
TTLS = ("600", "3600", "99999", "00700", "7000000000")
PERMANENT_TTLS = ("8000000000", "9223372037")
PARAMETERS = (
    "recursive", "sorted", "wait", "dir", "quorum", "stream", "prevExist", "refresh",
    "noValueOnSuccess", "prevIndex", "waitIndex", "ttl", "value", "prevValue", "foo", "Recursive",
)  # fmt: skip
FLAGS = frozenset(PARAMETERS[:9])
ODD_METHODS = ("PATCH", "TRACE", "CONNECT", "FROB", "get", "PROPFIND", "LINK")
OTHER_ROUTES = (
    "GET /version", "POST /version", "HEAD /version", "GET /health", "POST /health",
    "GET /v2/machines", "HEAD /v2/machines", "POST /v2/machines", "GET /v2/machines/",
    "GET /v2/leader", "GET /v2/keysfoo", "GET /", "GET /v2/nope", "PUT /v1/keys/a", "GET /v2/keys",
    "GET /v2/members", "GET /v2/members/", "GET /v2/members/leader", "GET /v2/members/xyz",
    "HEAD /v2/members", "DELETE /v2/members", "PUT /v2/members", "DELETE /v2/members/xyz",
    "DELETE /v2/members/123", "PATCH /v2/members", "GET /v2/stats/self", "GET /v2/stats/leader",
    "POST /v2/stats/store", "HEAD /v2/stats/self", "GET /v2/stats/x", "GET /v2/stats",
    "OPTIONS /v2/stats/store", "OPTIONS /nope", "GET /v2//machines", "GET /x/../version",
    "POST /debug/vars", "GET /config/local/log", "GET //", "GET /v2/%6Beys/a", "GET /v2/KEYS/a",
)  # fmt: skip
MEMBER_BODIES = (
    '{"peerURLs":["http://127.0.0.1:23801"]}', '{"peerURLs":[]}', '{"peerURLs":["ftp://a:1"]}',
    '{"peerURLs":["http://127.0.0.1"]}', '{"peerURLs":["http://127.0.0.1:1/x"]}', "{}", "",
)  # fmt: skip
CONTENT_TYPES = (
    FORM, FORM + "; charset=utf-8", FORM.upper(), "application/json", "text/plain",
    "multipart/form-data; boundary=X", "", "; bad", FORM + "; charset", "x", FORM + ";",
    FORM + "; a=b; A=b", FORM + '; a="b', FORM + ' ; a = "\\"" ; b=c ',
)  # fmt: skip
EXTRA_HEADERS = (
    ("Authorization", "Basic cm9vdDpycHc="), ("Origin", "http://x"), ("Accept-Encoding", "gzip"),
    ("Connection", "close"), ("Connection", "keep-alive"), ("Accept", "text/html"),
    ("If-None-Match", "*"), ("Range", "bytes=0-3"), ("Access-Control-Request-Method", "PUT"),
    ("Expect", "100-continue"), ("X-HTTP-Method-Override", "DELETE"), ("Upgrade", "h2c"),
)  # fmt: skip
ODD_TARGETS = (
    b"/v2/keys//a", b"/v2/keys/a//b", b"/v2/keys/a/../b", b"/v2/keys/./a", b"/v2/keys/a/.",
    b"/v2/keys/..", b"/v2/keys/../../..", b"/v2/keys/a%2F%2Fb", b"/v2/keys/%2e%2e/x",
    b"/v2/keys/a%2Fb", b"/v2/keys/a/", b"/v2/keys/a//", b"/v2/keys/%zz", b"/v2/keys/%",
    b"/v2/keys/%4", b"/v2/keys/a+b", b"/v2/keys/\xc3\xa9", b"/v2/keys/a;b", b"/v2/keys/a?",
    b"/v2/keys/%00", b"/v2/keys/a%0ab", b"/v2/keys/%ff", b"/v2/keys?recursive=true",
    b"http://x/v2/keys/a", b"http://x:1/v2/keys//a", b"/v2/keys/a??b", b"/v2/keys/%3Fa",
    b"/v2/keys//a?recursive=true&x=%20", b"/v2/keys/'\"a", b"/v2/keys/a,b:c@d!e$f(g)*",
    b"/v2/keys/%2e", b"/v2/keys/a/%2E%2E/b", b"/v2/keys/...", b"/v2/keys/a/./b?x=<>",
    b"/v2/keys//\xc3\xa9", b"/v2/keys//%C3%A9%20;", b"/v2/keys/a%25b", b"/v2/keys/{a}|^",
)  # fmt: skip
