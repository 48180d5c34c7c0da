"""From argv, the environment and a YAML file to one Config.

Laws: a configuration file, when given, is the only source; else a flag wins over a variable and a
variable over the default. All sources go through one table and one set of checks. The function is
pure but for the file it is told to read and the machine's address, both passed in: nothing here
reads the real environment, prints, or exits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from golang.quoting import go_quote
from server import hosts
from server.notice import NOTICE, Exit, Notice, info, warning
from server.options import config, config_file
from server.options.config import Config
from server.options.flags import FlagError, HelpAsked, NotAFlag, scan
from server.options.help_text import USAGE, help_text, version_text
from server.options.settings import Settings
from server.options.table import BY_NAME, OPTIONS, REPLACED_BY, WITHOUT_EFFECT
from server.options.urls import parse_urls
from server.options.validation import flags_error, is_any_address, refuse, validate
from server.options.values import BadValue, Kind

if TYPE_CHECKING:
    from server.options.option import Option

__all__ = ["Loaded", "load"]

ENV_PREFIX = "ETCD_"
IGNORED_BECAUSE = {
    "enable-v2": "this server always serves v2",
    "max-request-bytes": "it has no effect on v2",
    "pre-vote": "this server always does that",
}
"""Reasons of options that are ignored for another one than not being supported."""

_FILE_NOTICE = (
    "Loading server configuration from {}. Other configuration command line flags and"
    " environment variables will be ignored if provided."
)
_SHADOWED = "recognized environment variable {}, but unused: shadowed by corresponding flag"
_USED = "recognized and used environment variable {}={}"
_UNKNOWN = "unrecognized environment variable {}={}"
_NO_DATA_DIR = "no data-dir provided, using default data-dir ./{}.etcd"
_NO_DEFAULT_HOST = "failed to detect default host (could not find default route)"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration, and what to log about how it came about."""

    config: Config
    notices: tuple[Notice, ...]


def load(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    read_file: config_file.ReadFile = config_file.read_file,
    default_host: Callable[[], str | None] = hosts.default_host,
) -> Loaded:
    """The configuration; `argv` is without the program's name. Raises Exit to end the process."""
    settings, notices = Settings(), list[Notice]()
    try:
        _from_flags(argv, settings)
        file = settings.text("config-file") or environ.get(BY_NAME["config-file"].env, "")
        if file:
            settings = Settings()  # what the flags said does not count
            notices.append(info("etcdmain", _FILE_NOTICE.format(go_quote(file))))
            _from_file(file, settings, notices, read_file)
        else:
            _from_environment(environ, settings, notices)
            _follow_older_names(settings, notices)
            _clear_defaults(settings)
        validate(settings)
        refuse(settings)
    except Exit as outcome:
        raise outcome.after(tuple(notices), settings.text("logger")) from None
    notices += _ignored(settings)
    _derive(settings, notices, default_host)
    return Loaded(config.build(settings), tuple(notices))


def _from_flags(argv: Sequence[str], settings: Settings) -> None:
    try:
        for option, text in scan(argv, BY_NAME):
            _set_flag(settings, option, text)
    except HelpAsked:
        raise Exit(0, help_text()) from None
    except FlagError as error:
        raise Exit(2, stderr_text=f"{error}\n{USAGE}") from None
    except NotAFlag as error:
        raise flags_error(f"'{error.argument}' is not a valid flag") from None
    if settings.truth("version"):
        raise Exit(0, version_text())


def _set_flag(settings: Settings, option: "Option", text: str) -> None:
    try:
        settings.parse(option, text)
    except BadValue as error:
        value, name = go_quote(text), option.name
        if option.kind is Kind.BOOL:
            raise FlagError(f"invalid boolean value {value} for -{name}: {error}") from None
        raise FlagError(f"invalid value {value} for flag -{name}: {error}") from None


def _from_file(
    file: str, settings: Settings, notices: list[Notice], read_file: config_file.ReadFile
) -> None:
    settings.derive("config-file", file)
    try:
        notices += config_file.apply(file, settings, read=read_file)
    except config_file.FileError as error:
        raise flags_error(str(error)) from error
    discovers = settings.text("discovery") or settings.text("discovery-srv")
    if discovers and settings.is_default("initial-cluster"):
        settings.derive("initial-cluster", "")


def _from_environment(
    environ: Mapping[str, str], settings: Settings, notices: list[Notice]
) -> None:
    seen: set[str] = set()
    failure: str | None = None
    for option in sorted(OPTIONS, key=lambda option: option.name):
        if option.name == "version":
            # DEVIATES: etcd 3.4 dies of ETCD_VERSION=v3.4.23, which container images set for
            # themselves; 3.5 no longer looks at it.
            continue
        text = environ.get(option.env, "")
        if settings.is_given(option.name):
            # DEVIATES: etcd 3.4 exits here; 2.3 and 3.2 went on, and distributions' unit files
            # set variables that their users override with flags.
            seen.add(option.env)
            if text:
                notices.append(warning("pkg/flags", _SHADOWED.format(option.env)))
        elif text:
            seen.add(option.env)
            try:
                settings.parse(option, text)
            except BadValue as error:
                failure = f"invalid value {go_quote(text)} for {option.env}: {error}"
            else:
                notices.append(info("pkg/flags", _USED.format(option.env, text)))
    for name, text in environ.items():
        if name.startswith(ENV_PREFIX) and name not in seen:
            notices.append(warning("pkg/flags", _UNKNOWN.format(name, text)))
    if failure is not None:  # of several, etcd names the last
        raise flags_error(failure)


def _follow_older_names(settings: Settings, notices: list[Notice]) -> None:
    """Give the values of etcd 2's names for things to today's options."""
    for old, replacements in REPLACED_BY.items():
        if not settings.is_given(old) or settings.is_default(old):
            continue
        new = replacements[0]
        if settings.is_given(new):
            notices.append(warning("etcdmain", f"ignored: {old}, since {new} is set"))
            continue
        notices.append(warning("etcdmain", f"deprecated: {old}, use {' and '.join(replacements)}"))
        if BY_NAME[old].kind is Kind.HOST_PORT:
            settings.put(new, parse_urls([f"http://{settings.text(old)}"]))
        else:
            settings.put(new, settings.text(old))
            settings.put(replacements[1], True)


def _clear_defaults(settings: Settings) -> None:
    """Defaults that do not stand once another option is set."""
    client_urls = ("listen-client-urls", "advertise-client-urls")
    if [settings.is_given(name) for name in client_urls] == [True, False]:
        settings.derive("advertise-client-urls", ())
    discovery = ("discovery", "discovery-srv", "discovery-srv-name")
    if any(settings.text(name) for name in discovery) and not settings.is_given("initial-cluster"):
        settings.derive("initial-cluster", "")


def _ignored(settings: Settings) -> list[Notice]:
    """One warning for each option that was set and has no effect."""
    notices = []
    for option in settings.changed():
        name = option.name
        if option.kind is Kind.IGNORED:
            text = f'flag "-{name}" is no longer supported - ignoring.'
        elif name == "log-output":
            text = "'--log-output' flag has been deprecated! Please use '--log-outputs'!"
        elif name in REPLACED_BY:
            continue
        elif option.status in ("A", "L", "-") or name in WITHOUT_EFFECT:
            text = f"ignored: {name} ({IGNORED_BECAUSE.get(name, 'not supported by this server')})"
        else:
            continue
        notices.append(warning("etcdmain", text))
    return notices


def _derive(
    settings: Settings, notices: list[Notice], default_host: Callable[[], str | None]
) -> None:
    """Values that follow from others: advertised hosts, the initial cluster, the data directory."""
    _advertise_default_host(settings, notices, default_host)
    name = settings.text("name")
    if name != BY_NAME["name"].default and settings.is_default("initial-cluster"):
        urls = settings.urls("initial-advertise-peer-urls")
        cluster = ",".join(f"{name or 'default'}={url.text}" for url in urls)
        settings.derive("initial-cluster", cluster)
    if settings.text("initial-cluster-state") == "":
        settings.derive("initial-cluster-state", "new")
    if settings.text("data-dir") == "":
        notices.append(warning("etcdmain", _NO_DATA_DIR.format(name)))


def _advertise_default_host(
    settings: Settings, notices: list[Notice], default_host: Callable[[], str | None]
) -> None:
    """A member that listens on all addresses advertises its own address, not localhost."""
    pairs = (
        ("listen-peer-urls", "initial-advertise-peer-urls"),
        ("listen-client-urls", "advertise-client-urls"),
    )
    wanted = [
        (settings.urls(listen)[0], advertise)
        for listen, advertise in pairs
        if settings.is_default(advertise) and is_any_address(settings.urls(listen)[0])
    ]
    if not wanted:
        return
    host = default_host()
    if host is None:
        notices.append(Notice(NOTICE, "etcdmain", _NO_DEFAULT_HOST))
        return
    for listen_url, advertise in wanted:
        settings.derive(advertise, (settings.urls(advertise)[0].moved_to(host, listen_url.port),))
    notices.append(info("etcdmain", f"advertising using detected default host {go_quote(host)}"))
