"""The harness itself: it passes the real client, and it notices one that is wrong."""

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.etcdctl.ages import all_ages
from tests.etcdctl.campaign import KINDS, SERVERS, run
from tests.etcdctl.cases import SERVER_KILLED, Case, Outcome, load
from tests.etcdctl.exceptions import argued
from tests.etcdctl.judgement import differences
from tests.etcdctl.orders import Roster, all_orders
from tests.etcdctl.placeholders import fill, pattern
from tests.etcdctl.programs import PROGRAMS, Program, reference

CASES = {case.name: case for case in load()}
CASES_CAPTURED = 364
CASES_WITHOUT_TLS_AND_AUTH = 286
SAMPLE_EVERY = 12
LIES = {
    "one newline too many": '"$0" "$@"; code=$?; echo; exit $code',
    "an error on the wrong stream": 'exec "$0" "$@" 2>&1',
    "a success that is none": '"$0" "$@" || exit 0',
    "nothing at all": "exit 4",
}


def chosen(*names: str) -> list[Case]:
    return [CASES[name] for name in names]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("server", list(SERVERS))
def test_real_client_passes_a_sample(server: str) -> None:
    """Goal: what is expected is right on both servers. Method: play every twelfth case and those
    with something of each kind with the real client; nothing differs."""
    special = chosen("user-add-prompt", "watch-server-dies", "tls-clientauth-with-cert")
    sample = [*list(CASES.values())[::SAMPLE_EVERY], *special]
    results = run([case for case in sample if case.kind in KINDS[server]], reference(), server)
    assert {name: found for name, found in results.items() if found} == {}


@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_wrong_output_is_noticed(lie: str) -> None:
    """Goal: a wrong byte or exit code fails a case. Method: play a few cases with the real client
    behind a shell that changes what it says; only right answers pass."""
    program = Program("liar", ("sh", "-c", lie, find_etcdctl()), {}, follows_preferred=False)
    results = run(chosen("mock-http-503", "mock-redirect-loop"), program, "etcd")
    assert all(results.values())


def test_difference_is_readable() -> None:
    """Goal: a failure says what was wanted and what came. Method: judge a wrong outcome; lines
    that are right are not among the differences, and known placeholders are filled in."""
    expected = Outcome("first {{TIME}}\nindex {{B+1}}\n", "", 0)
    seen = Outcome("first 2026-01-02T03:04:05Z\nindex 7\n", "", 4)
    found = differences(seen, [expected], {"B": "7"})
    assert found.splitlines() == [
        "exit: expected 0, got 4",
        "stdout:",
        "    --- expected",
        "    +++ got",
        "    @@ -1,2 +1,2 @@",
        "     first 2026-01-02T03:04:05Z",
        "    -index 8",
        "    +index 7",
    ]


def test_placeholders() -> None:
    """Goal: indexes are added to and padded; unknown names are errors. Method: fill in a few."""
    assert fill("{{B}} {{B+2}} {{B+10:020}}", {"B": "5"}) == f"5 7 {15:020}"
    assert pattern("[{{IDX}}]", {}).fullmatch("[12]")
    assert not pattern("[{{IDX}}]", {}).fullmatch("[x]")
    with pytest.raises(KeyError, match="EP9"):
        fill("{{EP9}}", {})


def test_members_are_in_the_order_of_their_ids() -> None:
    """Goal: one order of members is right, not any. Method: arrange the captured list for a
    cluster with other ids and another leader."""
    case = CASES["three-member-list"]
    roster = Roster({0: "ff", 1: "1000", 2: "a"}, leader=2)
    (only,) = all_orders(case.captured, case.argv, roster)
    assert [(line[2:5], line.split("=")[-1]) for line in only.stdout.splitlines()] == [
        ("ID2", "true"),
        ("ID0", "false"),
        ("ID1", "false"),
    ]


def test_endpoints_may_come_in_any_order_but_the_same_throughout() -> None:
    """Goal: a shuffle is allowed once per run. Method: all orders of a captured debug output are
    six, each with one order in all lines."""
    case = CASES["three-member-remove-ok-debug"]
    found = all_orders(case.captured, case.argv, Roster({}))
    assert len({outcome.stderr for outcome in found}) == 6
    for outcome in found:
        lines = outcome.stderr.splitlines()
        assert lines[0].endswith("({{EP0}})")
        synced = lines[2].removeprefix("got endpoints(").split(")")[0].split(",")
        assert lines[3] == f"Cluster-Endpoints: {', '.join(synced)}"
        deletes = [line.split()[5] for line in lines if "-X DELETE" in line]
        assert deletes == [f"{url}/v2/members/{{{{ID2}}}}" for url in synced]


def test_errors_keep_their_endpoint() -> None:
    """Goal: numbered errors move as a whole. Method: all orders of a captured failure of three
    endpoints are six; in each the inline text and the detail agree."""
    case = CASES["three-noquorum-set"]
    found = all_orders(case.captured, case.argv, Roster({}))
    assert len(found) == 6
    for outcome in found:
        inline, detail = outcome.stderr.split("\n\n", 1)
        errors = [part.split(": ", 1)[1] for part in inline.split("error #")[1:]]
        assert (
            detail
            == "".join(
                f"error #{number}: {text.removesuffix('; ').rstrip()}\n"
                for number, text in enumerate(errors)
            )
            + "\n"
        )
        assert sum("{{EP1}} exceeded" in error for error in errors) == 1


def test_only_whole_seconds_that_passed_are_taken_off() -> None:
    """Goal: a TTL may shrink by what a case took. Method: ages of an output after 2.9 s."""
    found = all_ages([Outcome('"ttl":100', "", 0), Outcome("TTL: 0", "", 0)], 2.9)
    assert [one.stdout for one in found] == ['"ttl":100', '"ttl":99', '"ttl":98', "TTL: 0"]


def test_cases_are_all_there() -> None:
    """Goal: no case gets lost. Method: count them, and those for a server without TLS and auth;
    what happens in the middle of a case is in its record."""
    assert len(CASES) == CASES_CAPTURED
    assert (
        sum(case.kind in KINDS["pyetcd"] for case in CASES.values()) == CASES_WITHOUT_TLS_AND_AUTH
    )
    assert CASES["watch-server-dies"].state == SERVER_KILLED
    assert CASES["three-noquorum-watch-sigint"].signal == "INT"


def test_exceptions_are_of_cases() -> None:
    """Goal: the list of exceptions stays true. Method: every name in it is a case's."""
    listed = {name for client in PROGRAMS for server in SERVERS for name in argued(client, server)}
    assert listed <= CASES.keys()
