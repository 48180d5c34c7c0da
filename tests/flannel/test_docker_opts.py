"""Goal: Docker gets the files of the talk. Method: upstream's five cases, the talk's two files.

The shell script's own cases are from dist/mk-docker-opts_tests.sh of flannel v0.10.
"""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flannel import docker_opts, env_file, subnet_file
from tests.flannel.hosts import as_root
from tests.flannel.sample import net
from tests.oracle.process import ROOT

SAMPLE = "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\n"
SAMPLE += "FLANNEL_IPMASQ=false\n"
BIP = 'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\n'
IPMASQ = 'DOCKER_OPT_IPMASQ="--ip-masq=true"\n'
MTU = 'DOCKER_OPT_MTU="--mtu=1472"\n'
ALL = '" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"\n'


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """subnet.env and where the output goes."""
    source = tmp_path / "subnet.env"
    source.write_text(SAMPLE)
    return source, tmp_path / "made" / "docker"


def write(files: tuple[Path, Path], *options: str, **environ: str) -> str:
    """Run the command; what it wrote."""
    source, target = files
    line = ["pyflannel-docker-opts", "-f", str(source), "-d", str(target), *options]
    assert docker_opts.run(line, environ) == 0
    return target.read_text()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], BIP + IPMASQ + MTU + "DOCKER_OPTS=" + ALL),
        (["-i"], BIP + IPMASQ + MTU),
        (["-c"], "DOCKER_OPTS=" + ALL),
        (["-i", "-c"], BIP + IPMASQ + MTU + "DOCKER_OPTS=" + ALL),
        (["-k", "CUSTOM_KEY"], BIP + IPMASQ + MTU + "CUSTOM_KEY=" + ALL),
        (["-m"], BIP + MTU + 'DOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"\n'),
    ],
)
def test_upstreams_cases(files: tuple[Path, Path], options: list[str], expected: str) -> None:
    """Plain, -i, -c, both, -k, -m."""
    assert write(files, *options) == expected


def test_the_talks_file_on_atomic(files: tuple[Path, Path]) -> None:
    """/run/flannel/docker, from a subnet.env as the daemon writes it."""
    text = subnet_file.text(net("172.24.0.0/16"), net("172.24.32.0/24"), 1450, True)
    files[0].write_text(text)
    assert write(files, "-k", "DOCKER_NETWORK_OPTIONS") == (
        'DOCKER_OPT_BIP="--bip=172.24.32.1/24"\n'
        'DOCKER_OPT_IPMASQ="--ip-masq=false"\n'
        'DOCKER_OPT_MTU="--mtu=1450"\n'
        'DOCKER_NETWORK_OPTIONS=" --bip=172.24.32.1/24 --ip-masq=false --mtu=1450"\n'
    )


def test_the_talks_file_on_coreos(files: tuple[Path, Path]) -> None:
    """/run/flannel/flannel_docker_opts.env."""
    text = subnet_file.text(net("10.1.0.0/16"), net("10.1.60.0/24"), 1472, True)
    files[0].write_text(text)
    assert write(files, "-i") == (
        'DOCKER_OPT_BIP="--bip=10.1.60.1/24"\n'
        'DOCKER_OPT_IPMASQ="--ip-masq=false"\n'
        'DOCKER_OPT_MTU="--mtu=1472"\n'
    )


def test_the_environment_fills_in(files: tuple[Path, Path]) -> None:
    """As for the script, which inherits it: other options, and the key's old value."""
    written = write(files, "-c", DOCKER_OPTS="--debug", DOCKER_OPT_DNS="--dns=10.0.0.1")
    assert written == 'DOCKER_OPTS="--debug  --bip=10.1.74.1/24 --dns=10.0.0.1' + ALL[20:]
    files[0].unlink()
    assert write(files, "-i", FLANNEL_MTU="1400") == 'DOCKER_OPT_MTU="--mtu=1400"\n'


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("FLANNEL_IPMASQ=yes\n", [], "Invalid value of FLANNEL_IPMASQ: yes (must be true or false"),
        ("", ["-x"], "option -x not recognized\npyflannel-docker-opts [-f FLANNEL-ENV-FILE]"),
        ("", ["-h"], "pyflannel-docker-opts [-f FLANNEL-ENV-FILE]"),
        ("", ["-k", "A B"], "-k must be the name of a variable such as DOCKER_OPTS, not 'A B'"),
        ("FLANNEL_SUBNET=10.1.1.1/24;rm\n", [], "Invalid value of FLANNEL_SUBNET: 10.1.1.1/24;rm"),
        ('FLANNEL_MTU="14$(id)50"\n', [], "Invalid value of FLANNEL_MTU: 14$(id)50 (must be 68.."),
        (
            "FLANNEL_MTU=99999\n",
            [],
            "Invalid value of FLANNEL_MTU: 99999 (must be 68..65535 bytes)",
        ),
        ("FLANNEL_SUBNET=300.1.1.1/24\n", [], "Invalid value of FLANNEL_SUBNET: 300.1.1.1/24 (mus"),
        ("FLANNEL_SUBNET=10.1.1.1/77\n", [], "Invalid value of FLANNEL_SUBNET: 10.1.1.1/77 (must"),
        ("", ["-k"], "option -k requires argument\n"),
    ],
)
def test_bad_input(
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: list[str],
    said: str,
) -> None:
    """A sentence, exit code 1, no file."""
    source, target = files
    source.write_text(text)
    line = ["pyflannel-docker-opts", "-f", str(source), "-d", str(target), *options]
    assert docker_opts.run(line, {}) == 1
    assert capsys.readouterr().err.startswith(said)
    assert not target.exists()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('FLANNEL_MTU="1450', "a quote is not closed"),
        ("FLANNEL_MTU='1450", "a quote is not closed"),
        ('FLANNEL_MTU="14\\"', "a quote is not closed"),
        ('FLANNEL_MTU=14"50', "a quote within the value of FLANNEL_MTU is not taken"),
        ('FLANNEL_MTU=14"50"', "a quote within the value of FLANNEL_MTU is not taken"),
        ("FLANNEL_MTU=14'50'", "a quote within the value of FLANNEL_MTU is not taken"),
        ("FLANNEL_MTU='14''50'", "a quote within the value of FLANNEL_MTU is not taken"),
    ],
)
def test_a_line_that_cannot_be_taken(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], line: str, why: str
) -> None:
    """The file, the line, the reason, no output."""
    files[0].write_text(f"FLANNEL_IPMASQ=true\n{line}\n")
    assert docker_opts.run(["x", "-f", str(files[0]), "-d", str(files[1])], {}) == 1
    assert capsys.readouterr().err == f"{files[0]}: line 2: {why}: {line}\n"
    assert not files[1].exists()


@pytest.mark.parametrize(
    "line",
    [
        "FLANNEL_SUBNET=10.1.1.1/24 FLANNEL_MTU=1400",
        "export FLANNEL_MTU=1400 1500",
        "FLANNEL_MTU= 1400",
        'FLANNEL_MTU="1400"0',
        "FLANNEL_MTU='1400'#0",
        'DOCKER_OPT_A="--a"; rm',
    ],
)
def test_a_line_with_more_than_a_value(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """Goal: nothing that is written there is dropped unsaid. Method: the file, the line, no
    output; the daemon's reader too."""
    files[0].write_text(f"FLANNEL_IPMASQ=true\n{line}\n")
    assert docker_opts.run(["x", "-f", str(files[0]), "-d", str(files[1])], {}) == 1
    name = re.findall("[A-Z_]+", line)[0]
    said = f"{files[0]}: line 2: there is more after the value of {name}: {line}\n"
    assert capsys.readouterr().err == said
    assert not files[1].exists()
    assert subnet_file.previous_subnet(files[0]) is None


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_pipe_in_the_flannel_files_place(files: tuple[Path, Path], is_linked: bool) -> None:
    """Goal: it does not wait for ever. Method: a pipe nobody writes into, and a link to it."""
    source, target = files
    source.unlink()
    os.mkfifo(source)
    given = source.with_name("link") if is_linked else source
    if is_linked:
        given.symlink_to(source)
    line = [sys.executable, "-c", "from flannel.docker_opts import main; main()"]
    line += ["-f", str(given), "-d", str(target)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (1, f"-f must be a file, and {given} is a pipe\n")
    assert not target.exists()


@pytest.mark.parametrize(
    ("path", "kind"), [("/dev/zero", "device"), ("/dev/null", "device"), ("socket", "socket")]
)
def test_what_is_no_file_in_the_flannel_files_place(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    """Goal: nothing is read that may have no end. Method: a device that has none, under a limit of
    memory; one that is empty; a socket."""
    monkeypatch.chdir(files[0].parent)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        line = ["prlimit", "--as=1000000000", sys.executable, "-c"]
        line += ["from flannel.docker_opts import main; main()", "-f", path, "-d", str(files[1])]
        environ = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            line, capture_output=True, text=True, check=False, timeout=20, env=environ
        )
    assert (done.returncode, done.stderr) == (1, f"-f must be a file, and {path} is a {kind}\n")
    assert not files[1].exists()


def test_a_device_in_the_subnet_files_place() -> None:
    """Goal: who wants no subnet file gives the daemon /dev/null. Method: it is no error, nor is one
    without an end."""
    for path in ("/dev/null", "/dev/zero"):
        env_file.check(Path(path), "-subnet-file", or_device=True)
        assert subnet_file.previous_subnet(Path(path)) is None


def test_a_place_that_cannot_be_written(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The file's name and the reason."""
    files[1].parent.write_text("a file where a directory should be")
    assert docker_opts.run(["x", "-f", str(files[0]), "-d", str(files[1])], {}) == 1
    assert "made: file exists" in capsys.readouterr().err


def test_what_a_link_leads_to_is_written(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Goal: a link stays one, as with the script. Method: to a file, to none yet, to a pipe."""
    _, link = files
    link.parent.mkdir()
    target = tmp_path / "target"
    link.symlink_to(target)
    assert write(files, "-i") == BIP + IPMASQ + MTU
    target.write_text("longer than what is written, all of it\n" * 9)
    assert write(files, "-i") == BIP + IPMASQ + MTU
    assert link.is_symlink()
    link.unlink()
    link.symlink_to("/proc/self/fd/1")
    line = [sys.executable, "-c", "from flannel.docker_opts import main; main()", "-i"]
    line += ["-f", str(files[0]), "-d", str(link)]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, env={})
    assert done.stdout == BIP + IPMASQ + MTU
    with target.open("w") as out:
        subprocess.run(line, stdout=out, check=True, env={})
    assert target.read_text() == BIP + IPMASQ + MTU
    assert link.is_symlink()
    assert [entry.name for entry in link.parent.iterdir()] == [link.name]


def test_bytes_that_are_no_text(files: tuple[Path, Path]) -> None:
    """Goal: what is copied comes out as it came. Method: Latin-1 in the environment and a file."""
    source, target = files
    source.write_bytes(b'FLANNEL_MTU=1400\nDOCKER_OPT_B="--b=\xe9"\n')
    environ = {"DOCKER_OPT_A": os.fsdecode(b"--a=\xfc")}
    assert docker_opts.run(["x", "-i", "-f", str(source), "-d", str(target)], environ) == 0
    assert target.read_bytes() == (
        b'DOCKER_OPT_A="--a=\xfc"\nDOCKER_OPT_B="--b=\xe9"\nDOCKER_OPT_MTU="--mtu=1400"\n'
    )
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]


def test_a_device_that_is_full(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name and the reason."""
    assert docker_opts.run(["x", "-f", str(files[0]), "-d", "/dev/full"], {}) == 1
    assert capsys.readouterr().err == "/dev/full: no space left on device\n"


def test_env_files_are_read_and_never_run() -> None:
    """Quotes, exports, comments; no expansion."""
    text = 'A=1\nexport B=\'x y\'\n# C=3\nD="q\\"r"  # end\nE=$(reboot)\nnonsense\nA=2\nF=\n'
    text += "G= \nH=x#y\t# end\nI= # end\nJ=#x\r\n"
    assert env_file.parse(text) == {
        "A": "2", "B": "x y", "D": 'q"r', "E": "$(reboot)", "F": "",
        "G": "", "H": "x#y", "I": "", "J": "#x",
    }  # fmt: skip


@pytest.mark.parametrize("line", ["FLANNEL_MTU=14\x0050", "# \x00"])
def test_a_nul(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Goal: what is no text is not half taken. Method: in a value, in a comment."""
    files[0].write_text(f"FLANNEL_IPMASQ=true\n{line}\n")
    assert docker_opts.run(["x", "-f", str(files[0]), "-d", str(files[1])], {}) == 1
    assert capsys.readouterr().err == f"{files[0]}: line 2: there is a NUL in it\n"
    assert not files[1].exists()


@pytest.mark.parametrize(
    "end", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_what_ends_no_line(end: str) -> None:
    """Goal: no variable comes out that no shell would see. Method: what Python, but no shell, takes
    for the end of a line, in a value, a comment and before a name; digits that are not ASCII's."""
    assert env_file.parse(f"A='1{end}B=2'\n#{end}C=3\n{end}D=4\nE=5{end}\n") == {
        "A": f"1{end}B=2",
        "E": f"5{end}",
    }


def test_what_is_white_in_ascii() -> None:
    """Goal: as shells. Method: a no-break space, which is a letter to them."""
    assert env_file.parse("A=1\u00a0\n\u00a0B=2\nC=\u00a03 # end\nD=4\r\n") == {
        "A": "1\u00a0",
        "C": "\u00a03",
        "D": "4",
    }


@pytest.mark.parametrize(
    ("text", "subnet"),
    [
        ("FLANNEL_SUBNET=172.24.42.1/24\n", "172.24.42.0/24"),
        ('FLANNEL_SUBNET="10.5.0.65/26"\n', "10.5.0.64/26"),
        ("FLANNEL_SUBNET=172.24.42.1\n", None),
        ("FLANNEL_SUBNET=fd00::1/64\n", None),
        ("FLANNEL_MTU=1450\n", None),
        ("\x00\xff", None),
        ('FLANNEL_SUBNET="172.24.42.1/24\n', None),
    ],
)
def test_the_previous_subnet(tmp_path: Path, text: str, subnet: str | None) -> None:
    """Masked to its network; what cannot be read is none."""
    path = tmp_path / "subnet.env"
    path.write_text(text)
    assert subnet_file.previous_subnet(path) == (net(subnet) if subnet else None)


def test_no_previous_subnet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No file, no directory, a device, or a directory in its place, which is said."""
    assert subnet_file.previous_subnet(Path("/dev/null")) is None
    assert subnet_file.previous_subnet(tmp_path / "none") is None
    assert subnet_file.previous_subnet(tmp_path / "no" / "where") is None
    assert caplog.records == []
    assert subnet_file.previous_subnet(tmp_path) is None
    assert caplog.messages[0].endswith(f"from subnet file at {tmp_path}: is a directory")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """Another reader never sees half a file, and nothing temporary stays."""
    path = tmp_path / "run" / "subnet.env"
    env_file.write(path, "A=1\n")
    before = path.stat().st_ino
    env_file.write(path, "A=2\n")
    assert path.stat().st_ino != before
    assert [entry.name for entry in path.parent.iterdir()] == ["subnet.env"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755


def test_a_file_keeps_its_mode_and_owner(files: tuple[Path, Path]) -> None:
    """Goal: what only Docker was to read, nobody else reads then. Method: mode 640; as root,
    another owner."""
    _, target = files
    target.parent.mkdir()
    target.write_text("before")
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, 12, 34)
    before = target.stat()
    assert write(files, "-i") == BIP + IPMASQ + MTU
    after = target.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    assert after.st_ino != before.st_ino


@as_root
def test_a_file_that_is_mounted(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Goal: it is written, though the kernel lets nobody replace it. Method: a file mounted on it,
    in a mount namespace."""
    source, target = files
    target.parent.mkdir()
    target.touch()
    mounted = tmp_path / "mounted"
    mounted.write_text("longer than what is written, all of it\n" * 9)
    program = f"{sys.executable} -c 'from flannel.docker_opts import main; main()'"
    line = f"mount --bind {mounted} {target} && {program} -i -f {source} -d {target}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", line], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert mounted.read_text() == BIP + IPMASQ + MTU
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]
