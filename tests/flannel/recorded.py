"""What the real flanneld (v0.10.0) was seen to do with 33 network configs, and where we differ."""

import json
from dataclasses import dataclass
from pathlib import Path

PREFIX = "Couldn't fetch network config: "
STRICTER = {
    "{}": "Network is missing",
    '{"Network":"fd00::/64","Backend":{"Type":"alloc"}}': "Network must be an IPv4 network",
    '{"Network":"10.5.0.0/16","SubnetMin":"10.5.9.0","SubnetMax":"10.5.3.0",'
    '"Backend":{"Type":"alloc"}}': "SubnetMin 10.5.9.0 is above SubnetMax 10.5.3.0",
}
"""Configs flanneld takes and then fails with, or leases nonsense from; we say so at once."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One config and what came of it."""

    config: str
    range: tuple[str, str] | None
    error: str
    lease: str | None
    value: str | None
    subnet_env: tuple[str, ...] | None
    kernel: tuple[str, ...]


def load() -> list[Recorded]:
    """All that were recorded."""
    rows = json.loads(Path(__file__).with_name("flannel-configs.json").read_text())
    assert len(rows) == 33
    return [
        Recorded(
            row["config"],
            tuple(row["range"]) if row["range"] else None,
            row["errors"][0] if row["errors"] else "",
            row["lease"],
            row["value"],
            tuple(row["subnet_env"]) if row["subnet_env"] else None,
            tuple(row["kernel"]),
        )
        for row in rows
    ]
