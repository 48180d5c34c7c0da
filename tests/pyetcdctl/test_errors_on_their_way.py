"""What is raised comes through to another process, and out of a copy, as it is."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import pickle
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import pyetcdctl
from pyetcdctl import Client, ClientError, ClusterUnavailable
from pyetcdctl.errors import DialFailed, EndpointFailed, KeyNotFound
from tests.oracle.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIVEN = {
    "cause": "/a",
    "code": 100,
    "endpoint": "http://127.0.0.1:1",
    "error": DialFailed("dial tcp 127.0.0.1:1: connect: connection refused"),
    "errors": [DialFailed("dial"), KeyNotFound(100, "Key not found", "/a", 5)],
    "index": 5,
    "key": "/a",
    "known": 7,
    "message": "Key not found",
    "reason": "Bad Gateway",
    "status": 409,
    "text": "a text",
    "trouble": DialFailed("dial"),
    "wait_s": 1.5,
    "why": "the server says so",
}


def tree(kind: type[ClientError]) -> Iterator[type[ClientError]]:
    """A class, and those below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


for module in pkgutil.iter_modules(pyetcdctl.__path__, "pyetcdctl."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
OURS = [kind for kind in tree(ClientError) if kind.__module__.startswith("pyetcdctl.")]


def made(kind: type[ClientError]) -> ClientError:
    """One of a kind, with everything that it can be given."""
    has_own = inspect.isfunction(kind.__init__)  # else it is made from its text
    names = [*inspect.signature(kind).parameters] if has_own else ["text"]
    error = kind(*(GIVEN[name] for name in names))
    if isinstance(error, EndpointFailed):
        error.may_be_heard = False
    return error


def seen(error: Any) -> object:
    """All that can be seen of one."""
    if not isinstance(error, BaseException):
        return error
    inner = [seen(each) for each in error.args]
    told = {
        name: [*map(seen, value)] if isinstance(value, tuple) else seen(value)
        for name, value in vars(error).items()
    }
    return type(error), str(error), inner, told


def pickled(error: ClientError) -> Any:
    """What another process gets of it."""
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("way", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_it_is_the_same(kind: type[ClientError], way: Callable[[ClientError], Any]) -> None:
    """Goal: whoever gets it has its class, its text and its attributes. Method: one of every class
    there is, through pickle and through both kinds of copy.
    """
    error = made(kind)
    other = way(error)
    assert other is not error
    assert seen(other) == seen(error)


def ask(url: str) -> None:
    """A worker's task."""
    with Client([url]) as client:
        client.get("/a")


def test_a_pool_of_workers() -> None:
    """Goal: a task that fails is told, and the pool does not wait for ever. Method: the task of a
    pool asks where nobody is.
    """
    url = f"http://127.0.0.1:{free_port()}"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(ClusterUnavailable) as told:
            pool.apply_async(ask, (url,)).get(30)
        assert [type(error) for error in told.value.errors] == [DialFailed]
