"""What the shell completes: profile names and conversation ids; and the scripts that ask for it.

`python -m synmem.cli.completing FOLDER` writes the scripts that lie in completions/; they are
what `synmem --show-completion SHELL` prints.
"""

import enum
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from synmem.errors import SynmemError

VARIABLE: Final = "_SYNMEM_COMPLETE"
"""Set by the scripts: the program is to answer, not to run."""

MOST_IDS: Final = 200
_SECONDS: Final = 1.0


# --- what is completed ----------------------------------------------------------------------


def profiles(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names that begin like this: of the profiles, none where the configuration is broken, and
    of the places of known programs where something is."""
    from synmem import places
    from synmem.profiles import load, names

    try:
        found = names(load(ctx.params.get("config")))
    except SynmemError:
        found = []
    begin = [name for name in places.PLACES if name.startswith(incomplete)]
    return sorted({*_shown(found, incomplete), *places.there(begin)})


def stores(ctx: typer.Context, incomplete: str) -> list[str]:
    """What may stand for a store: those names, and files here that are called like one. Of any
    other path the shell knows more."""
    return sorted({*profiles(ctx, incomplete), *_shown(_files_here(), incomplete)})


def _files_here() -> Iterable[str]:
    from synmem.profiles import is_address

    try:
        return [entry.name for entry in os.scandir() if is_address(entry.name)]
    except OSError:
        return []


def stores_or_conversations(ctx: typer.Context, incomplete: str) -> list[str]:
    """Of the first argument, which may be a store: those, and the ids of the store that is meant
    without one; where a store was typed, only its ids."""
    if ctx.info_name == "search":
        return stores(ctx, incomplete)
    ids = conversations(ctx, incomplete)
    source = ctx.get_parameter_source("profile")
    if source is not None and source.name == "COMMANDLINE":
        return ids
    return sorted({*ids, *stores(ctx, incomplete)})


def conversations(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids that begin like this, of the store that is named: 200 at most, within a second.

    None where the store cannot be opened, or needs a program to be run for its password.
    """
    import threading

    found: list[str] = []
    target, config = _target(ctx), ctx.params.get("config")

    def look() -> None:
        import asyncio

        asyncio.run(_ids(target, config, incomplete, found))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if thread.is_alive():
        if VARIABLE in os.environ:
            os._exit(0)  # a driver that waits would hold up the shell's prompt
        return []
    return sorted(found)


def _target(ctx: typer.Context) -> str | None:
    """The store that was typed so far; the only argument of `search` is none."""
    said = ctx.params
    is_query = ctx.info_name == "search" and said.get("query") is None
    if said.get("store") is not None and not is_query:
        return str(said["store"])
    target = said.get("profile")
    if isinstance(target, list | tuple):  # of a command that takes several
        return target[0] if target else os.environ.get("SYNMEM_PROFILE") or None
    return target


async def _ids(target: str | None, config: Path | None, incomplete: str, found: list[str]) -> None:
    from synmem.backends import open_store
    from synmem.profiles import resolve

    try:
        profile = resolve(target, config)
        if "password_command" in profile.settings:
            return
        settings = profile.connection()
        async with open_store(profile.backend, settings, page_size=MOST_IDS) as store:
            async for page in store.conversations():
                found += _shown((info.id for info in page), incomplete)
                if len(found) >= MOST_IDS:
                    break
    except SynmemError:
        found.clear()
    del found[MOST_IDS:]


def layouts(incomplete: str) -> list[str]:
    """The layouts that begin like this: ours, and other programs'."""
    from synmem.layouts.registry import LAYOUTS
    from synmem.settings import OWN_LAYOUTS

    return [name for name in sorted([*OWN_LAYOUTS, *LAYOUTS]) if name.startswith(incomplete)]


def strategies(incomplete: str) -> list[str]:
    """The strategies that begin like this."""
    from synmem.operations.deriving.context import STRATEGIES

    return [name for name in STRATEGIES if name.startswith(incomplete)]


def one_of(*names: str) -> Callable[[str], list[str]]:
    """What completes one of these."""

    def found(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return found


def topics(incomplete: str) -> list[str]:
    """Commands, and pages of the manual, that begin like this."""
    from synmem.cli.commands import ALIASES, COMMANDS
    from synmem.cli.manual.topics import TOPICS

    return [w for w in [*COMMANDS, *TOPICS] if w not in ALIASES and w.startswith(incomplete)]


def _shown(words: Iterable[str], incomplete: str) -> list[str]:
    """Those that begin like this and can stand on a terminal as they are."""
    from synmem.cli.render import visible_line

    return [word for word in words if word.startswith(incomplete) and visible_line(word) == word]


# --- the scripts ----------------------------------------------------------------------------

_BASH = r"""# Completion of synmem in bash: `synmem --show-completion bash` prints this.
_synmem_completion() {
    # Bash breaks words at ":" and "=" too. Joined again as they stand in the line, they are
    # what the program gets; what bash puts in place is only the last piece.
    local rest=${COMP_LINE:0:COMP_POINT} next word prefix="" i last=-1
    local -a words=() found=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        next=${rest#"${rest%%[![:space:]]*}"}
        if ((i == 0)) || [[ $next != "$rest" ]]; then
            words[++last]=""
            prefix=""
        fi
        rest=$next
        word=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)); then
            word=$rest
            [[ $word == [:=]* ]] && prefix+=${word:0:1}
        else
            rest=${rest#"$word"}
            prefix+=$word
        fi
        words[last]+=$word
    done
    local IFS=$'\n' line quote=${word:0:1}
    while read -r line; do
        [[ -z $line ]] && continue
        case $quote in
            # Within " nothing keeps ! from the history: a backslash would stay in the word.
            \") [[ $line == *!* ]] && continue
                line=${line//\\/\\\\} line=${line//\"/\\\"} line=${line//\$/\\\$}
                line=${line//\`/\\\`} ;;
            \') [[ $line == *\'* ]] && continue ;;
            *) printf -v line %q "$line"
                [[ $line == \$\'*!* ]] && continue ;;
        esac
        found+=("${line#"$prefix"}")
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$last _SYNMEM_COMPLETE=complete_bash \
        "${1/#\~/$HOME}" 2>/dev/null)
    COMPREPLY=("${found[@]}")
}

complete -o default -F _synmem_completion synmem
"""

_ZSH = r"""#compdef synmem
# Completion of synmem in zsh: `synmem --show-completion zsh` prints this.
_synmem_completion() {
    # The ids are other people's text: they are added as words, and nothing is evaluated.
    local -a typed found
    typed=("${(@)words[1,CURRENT-1]}" "$QIPREFIX$PREFIX")
    found=("${(@f)$(COMP_WORDS="${(F)typed}" COMP_CWORD=$((CURRENT - 1)) \
        _SYNMEM_COMPLETE=complete_bash synmem 2>/dev/null)}")
    found=("${(@)found:#}")
    if (( $#found )); then
        compadd -a found
    else
        _files
    fi
}

if [[ $funcstack[1] == _synmem ]]; then
    _synmem_completion "$@"
else
    compdef _synmem_completion synmem
fi
"""

_FISH = r"""# Completion of synmem in fish: `synmem --show-completion fish` prints this.
function __synmem_completion
    set -lx COMP_WORDS (commandline -cp | string collect)
    set -lx COMP_CWORD (count (commandline -opc))
    set -lx _SYNMEM_COMPLETE complete_bash
    set -l found (synmem 2>/dev/null | string match -v '')
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end

complete --command synmem --no-files --arguments '(__synmem_completion)'
"""


class Shell(enum.StrEnum):
    """The shells that there are scripts for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


SCRIPTS: Final = {
    Shell.bash: ("synmem.bash", _BASH),
    Shell.zsh: ("_synmem", _ZSH),
    Shell.fish: ("synmem.fish", _FISH),
}
"""Shell -> what the script is called where the shell looks for it, and its text."""


def prepare() -> None:
    """Let the program answer where a script asks it."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()


def _show(shell: Shell | None) -> None:
    if shell is not None:
        typer.echo(SCRIPTS[shell][1], nl=False)
        raise typer.Exit


ShowOption = Annotated[
    Shell | None,
    typer.Option(
        "--show-completion",
        metavar="bash|zsh|fish",
        callback=_show,
        is_eager=True,
        help="Print the shell's completion script.",
    ),
]


def write_scripts(folder: Path) -> None:
    """The scripts, each under the name by which its shell finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in SCRIPTS.values():
        (folder / name).write_text(text, encoding="utf-8")


def _main(arguments: list[str]) -> Any:
    write_scripts(Path(arguments[0] if arguments else "completions"))


if __name__ == "__main__":
    import sys

    _main(sys.argv[1:])
