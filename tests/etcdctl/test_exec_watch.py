"""Where exec-watch reads its words otherwise than Debian's etcdctl: the page says how."""

import re
import shlex
from email.message import Message

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.etcdctl.test_words_of_json import PYETCDCTL, said
from tests.oracle.process import ROOT
from tests.pyetcdctl.answering import Reply, answering

PAGE = (ROOT / "docs" / "pyetcdctl.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(exec-watch .*?)` \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)


def test_the_page_has_them() -> None:
    """Goal, method: the lines that are known to differ are on the page."""
    lines = {line for line, _debians, _ours in ROWS}
    known = ["/v --", "--bogus /x -- true", "--after-index 1 /v -- echo", "/v -- echo hi"]
    assert {f"exec-watch {line}" for line in known} <= lines


@pytest.mark.parametrize(("line", "debians", "ours"), ROWS)
def test_as_the_page_says(line: str, debians: str, ours: str) -> None:
    """Goal: each difference is one, and is as it is told. Method: run both at a server that notes
    which key is watched, and refuses it.
    """
    watched: list[str] = []

    def behave(target: str, _headers: Message) -> Reply:
        watched.append(target.partition("?")[0].removeprefix("/v2/keys/"))
        return Reply(b'{"errorCode":401,"message":"cleared","cause":"","index":1}', 400)

    with answering(behave) as url:
        for program, cell in (((find_etcdctl(),), debians), (PYETCDCTL, ours)):
            _code, _out, err = said(program, url, "--no-sync", *shlex.split(line))
            key = watched.pop() if watched else None
            told = re.search(r"watches `/?(.*?)`", cell)
            assert key == (told[1] if told else None)
            assert told or cell.strip("`") in err
    assert debians != ours
