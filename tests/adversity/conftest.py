"""One server for all tests of a module; each test leaves it healthy."""

from collections.abc import Iterator

import pytest

from tests.adversity.victim import Victim


@pytest.fixture(scope="module")
def running() -> Iterator[Victim]:
    """The server."""
    with Victim() as server:
        yield server


@pytest.fixture
def victim(running: Victim) -> Iterator[Victim]:
    """The server, looked at after the test."""
    yield running
    running.check()
