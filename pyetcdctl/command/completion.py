"""completion: commands, flags and keys for the shells that ask for them.

Laws: the scripts know nothing but how to ask this program, `completion candidates SHELL -- WORDS`;
the answers are made from the same tables as everything else (table, more), one on a line, with a
tab and what it is about. Keys and members are asked of the cluster, for a second at most and in
silence. When there is nothing to say, the shell completes names of files.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyetcdctl.command import flags, more, output
from pyetcdctl.command.session import Exit, Session, fail_plainly
from pyetcdctl.command.table import COMMANDS, GLOBAL, HELP_LINE, VERSION_FLAG, Command
from pyetcdctl.errors import ClientError

if TYPE_CHECKING:
    from pyetcdctl.client import Client

_PATIENCE_S: Final = 1.0

_BASH: Final = r"""_pyetcdctl() {
    local candidate about
    COMPREPLY=()
    while IFS=$'\t' read -r candidate about; do
        COMPREPLY+=("$candidate")
    done < <("${COMP_WORDS[0]}" completion candidates bash -- "${COMP_LINE:0:COMP_POINT}" \
        2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace; fi
}
complete -o default -F _pyetcdctl pyetcdctl
"""

_ZSH: Final = r"""#compdef pyetcdctl
_pyetcdctl() {
    local line name
    local -a described directories
    for line in "${(@f)$("${words[1]}" completion candidates zsh -- \
        "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        name=${line%%$'\t'*}
        if [[ -z $name ]]; then continue; fi
        if [[ $name == */ ]]; then
            directories+=("$name")
        else
            name=${name//\\/\\\\}
            described+=("${name//:/\\:}:${line#*$'\t'}")
        fi
    done
    if (( $#directories )); then compadd -S '' -a directories; fi
    if (( $#described )); then _describe pyetcdctl described; fi
    if (( ! $#directories && ! $#described )); then _files; fi
}
if [[ $funcstack[1] == _pyetcdctl ]]; then
    _pyetcdctl "$@"
else
    if (( ! $+functions[compdef] )); then autoload -Uz compinit; compinit; fi
    compdef _pyetcdctl pyetcdctl
fi
"""

_FISH: Final = r"""function __pyetcdctl_candidates
    set -l words
    for word in (commandline -opc)
        if string match -qr '^\$\w+$' -- $word
            set -l name (string sub -s 2 -- $word)
            set word $$name
        end
        set -a words "$word"
    end
    set -a words (string unescape -- (commandline -ct))
    $words[1] completion candidates fish -- $words[2..-1] 2>/dev/null
end
complete -c pyetcdctl -f -a '(__pyetcdctl_candidates)'
complete -c pyetcdctl -n 'test (count (__pyetcdctl_candidates)) -eq 0' -F
"""

SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
Candidates = list[tuple[str, str]]


def completion(session: Session) -> None:
    """Print the script of a shell, or answer to one."""
    words = session.operands
    if len(words) > 2 and words[0] == "candidates":
        _answer(words[1], words[2:])
    elif len(words) == 1 and words[0] in SCRIPTS:
        output.out(SCRIPTS[words[0]])
    else:
        given = f'"{" ".join(words)}"' if words else "missing"
        fail_plainly(f"the shell is {given}, but has to be one of {', '.join(SCRIPTS)}")


def _answer(shell: str, words: list[str]) -> None:
    line = _split(words[0]) if shell == "bash" else None
    typed = words if line is None else line.words[1:]
    found = candidates([*map(os.path.expandvars, typed[:-1]), typed[-1]]) if typed else []
    if line is not None and typed:
        found = _for_bash(found, line)
    output.out("".join(f"{name}\t{about}\n" for name, about in found if name.isprintable()))


class _Line(NamedTuple):
    """A line as far as it is typed: its words, the quote that is open in the last of them, and how
    much of that is in front of the quote.
    """

    words: list[str]
    quote: str
    before: int


def _for_bash(found: Candidates, line: _Line) -> Candidates:
    """What bash is to put behind an open quote, or else behind the last of the characters it splits
    words at.
    """
    split = re.match(r".*[:=]", line.words[-1])
    skip = line.before if line.quote else split.end() if split else 0
    if line.quote and len(found) == 1 and found[0][0].endswith("/"):
        # Behind the only one it closes the quote; of two it takes what they have in common.
        found = [*found, (f"{found[0][0]}/", "")]
    return [(_quoted(name[skip:], line.quote), about) for name, about in found]


def _quoted(name: str, quote: str) -> str:
    if quote == "'":
        return name.replace("'", r"'\''")
    if quote:
        return re.sub(r'([$`"\\])', r"\\\1", name)
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", name)


def _split(line: str) -> _Line:
    """Read a line that may end within a word; the last word is the one being typed."""
    words, word, quote, before, is_open = list[str](), "", "", 0, False
    position = 0
    while position < len(line):
        character = line[position]
        position += 1
        if character == quote:
            quote = ""
        elif character == "\\" and quote != "'":
            following = line[position : position + 1]
            is_kept = quote and following not in '$`"\\'
            word, is_open = word + ("\\" if is_kept else "") + following, True
            position += 1
        elif quote:
            word += character
        elif character in "'\"":
            quote, before, is_open = character, len(word), True
        elif character.isspace():
            if word or is_open:
                words.append(word)
            word, is_open = "", False
        else:
            word += character
    return _Line([*words, word], quote, before)


def candidates(words: list[str]) -> Candidates:
    """What the last of these words may become."""
    *before, typed = words
    known = (*GLOBAL, VERSION_FLAG, flags.HELP)
    position = _behind_flags(known, before)
    if position is None:
        return _starting(typed, _values(before[-1]))
    rest = before[position:]
    name, has_value, _ = typed.partition("=")
    if not rest and has_value and name.startswith("-"):
        return _starting(typed, [(f"{name}={value}", "") for value, _about in _values(name)])
    if not rest:
        return _starting(typed, _flags(known) if typed.startswith("-") else _commands())
    try:
        settings = flags.parse((*GLOBAL, VERSION_FLAG), before[:position])[0]
    except flags.Usage:
        return []
    return _starting(typed, _of_command(rest, typed, settings))


def _behind_flags(known: tuple[flags.Flag, ...], words: list[str]) -> int | None:
    """Where the flags at the front end; None if the last of them waits for its value."""
    position = 0
    while position < len(words) and words[position].startswith("-"):
        name, given, _ = words[position].lstrip("-").partition("=")
        flag = next((flag for flag in known if name in flag.names), None)
        position += 1
        if flag is not None and flag.kind != flags.BOOL and not given:
            position += 1
    return position if position <= len(words) else None


def _starting(typed: str, found: Candidates) -> Candidates:
    return [(name, about) for name, about in found if name.startswith(typed)]


def _values(flag: str) -> Candidates:
    if flag.lstrip("-") in ("o", "output"):
        return [(name, "") for name in ("simple", "extended", "json", "yaml", "table")]
    return []


def _flags(known: tuple[flags.Flag, ...]) -> Candidates:
    return [
        (f"{'--' if len(name) > 1 else '-'}{name}", flag.about)
        for flag in known
        for name in flag.names
    ]


def _commands() -> Candidates:
    listed = [(command.name, command.about) for command in (*COMMANDS, *more.MORE)]
    return [*listed, ("help", HELP_LINE[1])]


def _of_command(rest: list[str], typed: str, settings: dict[str, Any]) -> Candidates:
    if rest[0] in ("help", "h"):
        return _of_help(rest[1:])
    command = next((each for each in (*COMMANDS, *more.MORE) if each.name == rest[0]), None)
    if command is None:
        return []
    command, words = more.whole(command), rest[1:]
    if command.group:
        if not words:
            return [(each.name, each.about) for each in command.group]
        group, name = command.name, words[0]
        command = next((each for each in command.group if each.name == name), None)
        if command is None:
            return []
        words = words[1:]
        if group == "member" and name in ("remove", "update", "replace") and not words:
            return _members(settings, with_names=name == "replace")
    return _of_words(command, words, typed, settings)


def _of_help(words: list[str]) -> Candidates:
    named = [word for word in words if word != "--all"]
    flag = [("--all", "what is new, too")] if named == words else []
    if not named:
        return [*_commands(), *flag]
    found = next((each for each in (*COMMANDS, *more.MORE) if each.name == named[0]), None)
    group = more.whole(found).group if found is not None and len(named) == 1 else ()
    return [*((each.name, each.about) for each in group), *flag]


def _of_words(
    command: Command, words: list[str], typed: str, settings: dict[str, Any]
) -> Candidates:
    known = (*command.flags, flags.HELP)
    if "--" in words:
        return []
    if words and words[-1].startswith("-") and _behind_flags(known, words[-1:]) is None:
        return []
    if typed.startswith("-"):
        return _flags(known)
    if command.name == "completion":
        return [(shell, "") for shell in SCRIPTS] if not words else []
    takes_key = command.operands.startswith(("<key>", "[key]", "<name> <value>"))
    is_ours = command.is_new or flags.is_any(command.more_flags, words)
    words = words if is_ours else flags.reordered(known, words)
    try:
        operands = flags.parse(known, words, anywhere=is_ours)[1]
    except flags.Usage:
        return []
    return _keys(settings, typed) if takes_key and not operands else []


def _client(settings: dict[str, Any]) -> Client | None:
    patience = {"timeout": _PATIENCE_S, "total-timeout": _PATIENCE_S}
    quiet = settings | patience | {"no-sync": True, "debug": False}
    if quiet["username"] and ":" not in quiet["username"]:
        return None  # a password is not asked for in the middle of a line
    try:
        return Session(quiet, {}, []).client()
    except Exit:
        return None


def _keys(settings: dict[str, Any], typed: str) -> Candidates:
    """The keys in the directory that is typed so far."""
    client = _client(settings)
    directory = typed.rpartition("/")[0] or "/"
    if client is None:
        return []
    try:
        node = client.get(directory).node
    except ClientError:
        return []
    slash = "" if typed.startswith("/") else "/"
    return [
        ((each.key + ("/" if each.dir else "")).removeprefix(slash), "")
        for each in sorted(node.nodes or ())
    ]


def _members(settings: dict[str, Any], *, with_names: bool) -> Candidates:
    client = _client(settings)
    if client is None:
        return []
    try:
        members = client.members()
    except ClientError:
        return []
    ids = [(member.id, member.name) for member in members]
    names = [(member.name, member.id) for member in members if member.name]
    return names + ids if with_names else ids
