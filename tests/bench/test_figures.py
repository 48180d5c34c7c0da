"""Medians, quantiles, tables, and what is read from /proc."""

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.figures import Spread, quantile, spread, table
from bench.keys import key
from bench.loader import content_length
from bench.machine import file_system
from bench.memory import Footprint, footprint
from bench.others import machine_seconds, process_seconds


def test_spread_is_median_and_range() -> None:
    """Goal: one disturbed round does not move the figure. Method: an outlier."""
    assert spread([2.0, 90.0, 1.0]) == Spread(2.0, 1.0, 90.0)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 500), (0.999, 999), (1.0, 1000), (0.0, 1), (0.9991, 1000)]
)
def test_quantile_is_the_nearest_rank(share: float, expected: int) -> None:
    """Goal: p99.9 of 1,000 values is the 999th. Method: 1 to 1,000, upside down."""
    assert quantile(range(1000, 0, -1), share) == expected


def test_quantile_of_one_value() -> None:
    """Goal: a single value is every quantile. Method: the edge."""
    assert quantile([7], 0.999) == 7


def test_table_columns_line_up() -> None:
    """Goal: tables are readable. Method: cells of different widths."""
    assert table(("load", "rate"), [["GET", "1,000"], ["PUT 64", "9"]]) == [
        "load     rate",
        "GET     1,000",
        "PUT 64      9",
    ]


def test_keys_are_those_of_the_lua_script() -> None:
    """Goal: what is loaded is what wrk asks for. Method: the corners of the two levels."""
    assert [key(number) for number in (0, 999, 1000, 999_999)] == [
        "/bench/d000/k000",
        "/bench/d000/k999",
        "/bench/d001/k000",
        "/bench/d999/k999",
    ]


def test_footprint_reads_the_kernels_figures() -> None:
    """Goal: bytes, not KiB. Method: the lines of /proc/PID/status."""
    status = "Name:\tetcd\nVmHWM:\t  267100 kB\nVmRSS:\t  100 kB\nThreads:\t9\n"
    assert footprint(status) == Footprint(resident_bytes=102_400, peak_bytes=267100 * 1024)
    with pytest.raises(BenchError):
        footprint("Name:\tetcd\n")


def test_content_length_in_any_case() -> None:
    """Goal: both servers' heads are understood. Method: Go's and ours; a chunked answer fails."""
    assert content_length(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n") == 12
    assert content_length(b"HTTP/1.1 201 Created\r\ncontent-length:7\r\n\r\n") == 7
    with pytest.raises(BenchError):
        content_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_file_system_is_the_innermost_mount() -> None:
    """Goal: a tmpfs is noticed. Method: nested mounts, and one whose name is only a prefix."""
    mounts = "/dev/a / ext4 rw 0 0\ntmpfs /data tmpfs rw 0 0\n/dev/b /data/disk xfs rw 0 0\n"
    assert file_system(Path("/data/disk/x"), mounts) == "xfs"
    assert file_system(Path("/data/other"), mounts) == "tmpfs"
    assert file_system(Path("/database"), mounts) == "ext4"


def test_processor_time_of_machine_and_process() -> None:
    """Goal: others' work is what is left. Method: lines as /proc has them, 100 ticks a second."""
    busy_s, total_s = machine_seconds("cpu  300 0 100 500 50 0 0 50 20 0\ncpu0 1 2 3\n")
    assert busy_s == pytest.approx(4.5, rel=0.01)
    assert total_s == pytest.approx(10.0, rel=0.01)
    stat = "17 (a ) b) S 1 17 17 0 -1 4194304 1 0 0 0 250 50 9 9 20 0 1 0 5 0 0"
    assert process_seconds(stat) == pytest.approx(3.0, rel=0.01)
