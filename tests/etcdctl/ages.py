"""Times to live shrink while a case is played.

Laws: what the capture saw at once may have lost as many whole seconds here as the case took, and
not one more.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from tests.etcdctl.cases import Outcome

_TTL = re.compile(r'(?<=TTL: )[1-9]\d*|(?<="ttl":)[1-9]\d*')


def all_ages(outcomes: Sequence[Outcome], elapsed_s: float) -> list[Outcome]:
    """Every outcome that is right when the case has taken so long, without repetition."""
    found: dict[Outcome, None] = {}
    for outcome in outcomes:
        for age_s in range(int(elapsed_s) + 1):
            found[replace(outcome, stdout=_aged(outcome.stdout, age_s))] = None
    return list(found)


def _aged(text: str, age_s: int) -> str:
    return _TTL.sub(lambda ttl: str(int(ttl[0]) - age_s), text)
