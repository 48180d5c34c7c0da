"""Every captured invocation of etcdctl, played with our client."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.etcdctl.campaign import SERVERS, played_against, run
from tests.etcdctl.cases import load
from tests.etcdctl.exceptions import argued
from tests.etcdctl.programs import ours

RUN_S = 600
CASES = {case.name: case for case in load()}
PLAYED = [
    (server, case.name) for server in SERVERS for case in played_against(server, CASES.values())
]
Results = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Results:
    """What differs by the case's name, with a server; all chosen cases are played at once."""
    chosen = [
        (str(item.callspec.params["server"]), str(item.callspec.params["name"]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_case
    ]

    @cache
    def played(server: str) -> dict[str, str]:
        cases = [CASES[name] for one, name in chosen if one == server]
        return run(cases, ours(), server)

    return played


@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize(("server", "name"), PLAYED)
def test_case(server: str, name: str, results: Results) -> None:
    """Goal: our client prints what the real one did, or an exception is argued. Method: play the
    case; a listed exception must differ."""
    found = results(server)[name]
    reason = argued("pyetcdctl", server).get(name)
    if reason is None:
        assert not found, f"{' '.join(CASES[name].argv)}\n{found}"
    else:
        assert found, f"listed because '{reason}', but it passes: take it off the list"
