"""wrk's output is read right, and a load with failures gives no figures."""

import pytest

from bench import wrk
from bench.errors import BenchError
from bench.wrk import Load

PRINTED = """\
Running 3s test @ http://127.0.0.1:20000
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.69ms    2.45ms  24.98ms   75.81%
    Req/Sec     9.63k     2.86k   14.78k    60.00%
  28810 requests in 3.01s, 18.16MB read
{extra}Requests/sec:   9577.50
Transfer/sec:      6.04MB
measured {{"requests":28810,"duration_us":3008000,"p50_us":6270,"p99_us":16050,"max_us":24980,\
"bad_statuses":{bad},"connect":0,"read":{read},"write":0,"timeout":0}}
"""


def printed(*, extra: str = "", bad: int = 0, read: int = 0) -> str:
    """What wrk prints with load.lua."""
    return PRINTED.format(extra=extra, bad=bad, read=read)


def test_a_clean_load_gives_its_figures() -> None:
    """Goal: rate and latencies are wrk's unrounded ones. Method: an output as captured."""
    sample = wrk.parse(printed())
    assert sample.requests == 28810
    assert sample.rate == pytest.approx(28810 / 3.008)
    assert (sample.p50_us, sample.p99_us, sample.max_us) == (6270, 16050, 24980)


@pytest.mark.parametrize(
    "output",
    [
        printed(bad=805),
        printed(extra="  Non-2xx or 3xx responses: 805\n"),
    ],
)
def test_error_answers_are_an_error(output: str) -> None:
    """Goal: a server that fails quickly is not called fast. Method: both ways wrk says so."""
    with pytest.raises(BenchError, match="805 of 28810 answers were errors"):
        wrk.parse(output)


def test_failed_connections_are_an_error() -> None:
    """Goal: lost connections spoil the figures. Method: an output with read errors."""
    with pytest.raises(BenchError, match="3 x read"):
        wrk.parse(printed(read=3))


def test_output_without_measurement_is_an_error() -> None:
    """Goal: no figures are made up. Method: wrk that could not connect prints only words."""
    with pytest.raises(BenchError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_missing_wrk_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a reader without wrk knows what to do. Method: an empty PATH."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError, match="apt-get install wrk"):
        wrk.program()


def test_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: the load asked for is the load given. Method: its command line."""
    monkeypatch.setattr(wrk, "program", lambda: "wrk")
    command = wrk.command("http://127.0.0.1:1", Load("PUT", 64, 3, keys=1000, value_bytes=64))
    assert command[1:4] == ["--threads=1", "--connections=64", "--duration=3s"]
    assert command[-4:] == ["--", "PUT", "1000", "64"]
