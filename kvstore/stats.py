"""The counters behind /v2/stats/store, under etcd's names and in etcd's order.

Law: a counter counts what its name says. DEVIATES: etcd's own have quirks nobody relies on
(contract/keys.md, cluster.md section 5.1): lookups of its auth module counted as getsFail, a failed
compareAndDelete as a success, a failed create as a failed set too.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import fields as fields_of


@dataclass(slots=True)
class Counters:
    """Operations since the cluster was made; reads are this member's own."""

    gets_success: int = 0
    gets_fail: int = 0
    sets_success: int = 0
    sets_fail: int = 0
    delete_success: int = 0
    delete_fail: int = 0
    update_success: int = 0
    update_fail: int = 0
    create_success: int = 0
    create_fail: int = 0
    compare_and_swap_success: int = 0
    compare_and_swap_fail: int = 0
    compare_and_delete_success: int = 0
    compare_and_delete_fail: int = 0
    expire_count: int = 0

    def as_etcd(self) -> dict[str, int]:
        """The counters as etcd spells them, in etcd's order, without `watchers`."""
        return {_camel_case(f.name): getattr(self, f.name) for f in fields_of(self)}


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
