"""JSON that an operator or another flanneld has written, and the place of what is wrong with it.

The operator writes the network config by hand, so what is wrong with it must be said exactly: in
the words of Go's encoding/json (what flanneld's log shows), followed by line and column.

Laws: pure; length and depth are bounded.
"""

import json

from golang import json_text
from golang.json_scanner import scan

TEXT_MAX = 1 << 16
"""Characters. What flannel keeps in a store has a few hundred; more would hold up the packets."""
DEPTH_MAX = 100


def parse(text: str) -> json_text.Value:
    """The one value in the text; raises json_text.BadJson."""
    if len(text) > TEXT_MAX:
        raise json_text.BadJson(f"longer than {TEXT_MAX} characters: {len(text)}")
    written = text.encode(errors="surrogatepass")
    complaint = scan(written, depth_max=DEPTH_MAX)
    if complaint is None:
        return json_text.decode(written)
    before = written[: complaint.at].decode(errors="replace")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    raise json_text.BadJson(f"{complaint.what} (line {line}, column {column})")


def text_of(value: json_text.Value) -> str:
    """The value as JSON again, compact."""
    if isinstance(value, json_text.Object):
        members = (f"{json.dumps(key)}:{text_of(member)}" for key, member in value.members)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text_of(item) for item in value) + "]"
    return json.dumps(value)
