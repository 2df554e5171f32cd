"""The pages of `synmem help TOPIC`."""

from collections.abc import Callable
from typing import Final

from synmem.cli.manual.blocks import Block, Heading, Lines, Terms, Text


def exit_codes() -> list[Block]:
    """What each exit code says."""
    return [
        Heading("Exit codes"),
        Terms(
            [
                ("0", "Done. A filter or a search that finds nothing is done too."),
                ("1", "Failed; also where an extra is not installed, or the configuration is "
                      "broken."),
                ("2", "The line makes no sense: nothing was done."),
                ("3", "Not found: a conversation, profile, store or file that was named."),
                ("4", "The store cannot be reached, is locked or was changed meanwhile: try later. "
                      "Also where another has the lock of --lock."),
                ("5", "Access denied: it will not work before somebody changes that."),
                ("6", "Partly done: some records are unreadable, were rejected or are in conflict; "
                      "each is named on stderr."),
                ("7", "check: something differs."),
                ("8", "Refused: it needs --yes or --confirm."),
                ("129, 143", "Ended by a signal: SIGHUP, SIGTERM."),
                ("130", "Interrupted (Ctrl-C)."),
                ("141", "Who reads the output went away (| head): no error."),
            ]
        ),
        Text(
            "With --json an error is JSON on stderr: kind, message, hint, and whether to try again "
            "(retryable)."
        ),
        Lines(["synmem check prod backup.db -q && echo equal"]),
    ]  # fmt: skip


def stores() -> list[Block]:
    """How a store is named, and which setting counts."""
    return [
        Heading("How a store is named"),
        Terms(
            [
                ("chat.db, ./chat", "A file: it has a / or ends like one (.db, .sqlite, .jsonl, "
                                    ".json, .zip, ...). A folder of sessions: a path with a /."),
                ("sqlite:///chat.db", "The same; with four slashes an absolute path."),
                ("redis://host:6379/0", "A server; also postgresql://, mongodb://, "
                                        "dynamodb://REGION/TABLE."),
                ("prod", "A bare word is a profile of config.toml: see synmem profile."),
                ("claude-code", "Or a known place: where a program keeps its conversations. It is "
                                "only read; a profile of that name wins. synmem discover lists "
                                "those that are here."),
                ("memory:", "Nothing that is kept."),
            ]
        ),
        Text(
            "Behind a file or a URL stand keys of the profile's: chat.db?layout=langchain, "
            "redis://h/0?prefix=app:."
        ),
        Heading("Where it stands"),
        Text(
            "Behind -p, of every command. It may stand first instead: alone in ls, stats, discover "
            "and browse; before the other argument in show, search and context. Alone in the line "
            "it is listed. Two different stores are an error, and a typed one wins over "
            "SYNMEM_PROFILE. migrate and check take SOURCE and DEST."
        ),
        Lines(
            [
                "synmem ls chat.db", "synmem show chat.db user-1",
                "synmem clear user-1 -p chat.db", "synmem chat.db",
            ]
        ),
        Heading("Which setting counts"),
        Text(
            "The first of these that says it: the option or the URL, SYNMEM_PROFILE_<NAME>_<KEY>, "
            "config.toml, the default. Without any store: SYNMEM_PROFILE, then default_profile of "
            "config.toml, then a file in the data folder that the first add makes."
        ),
    ]  # fmt: skip


def times() -> list[Block]:
    """How a time is typed."""
    return [
        Heading("Times that are typed"),
        Terms(
            [
                ("2026-11-21", "A day begins at its first minute; without a zone it is local."),
                ("2026-11-21T06:00:00Z", "ISO 8601, with or without a zone."),
                ("today, yesterday", "The beginning of that day."),
                ("10s 45min 2h30m 30d 1w 3mo", "So long ago; a month is the calendar's."),
                ("1795240800", "Seconds since 1970, in 10 digits; milliseconds in 13."),
            ]
        ),
        Text(
            "m is minutes. Where something is removed by it, 3m is refused: say 3min or 3mo. What "
            "has no time is left out by a filter by time, and counted on stderr."
        ),
        Lines(
            ["synmem show user-1 --since 2h", "synmem ls --idle 30d",
             "synmem clear --match 'bot-*' --older-than 3mo --dry-run"]
        ),
    ]  # fmt: skip


def layouts() -> list[Block]:
    """Whose conversations are read, and what --layout calls them."""
    from synmem.layouts.registry import LAYOUTS, NAMES, title
    from synmem.settings import OWN_LAYOUTS

    rows = [
        (name, f"{title(name)}: {', '.join(NAMES[backend] for backend in backends)}")
        for name, backends in sorted(LAYOUTS.items())
    ]
    own = " and ".join(OWN_LAYOUTS)
    return [
        Heading("Layouts: whose conversations are read"),
        Text(
            "They are told apart by what lies there. Where several do, --layout NAME chooses, or "
            f"?layout=NAME behind a file or a URL, or the profile's key. Ours are {own}; another's "
            "is written only where it is named."
        ),
        Terms(rows),
    ]


def formats() -> list[Block]:
    """The forms of -f."""
    return [
        Heading("Formats of export and import"),
        Terms(
            [
                ("jsonl", "One message a line, everything in it; --seal proves that it is whole."),
                ("json", "An array of conversations; import reads both."),
                ("csv", "A row a message. What a spreadsheet would run is guarded (--csv-raw: "
                        "not)."),
                ("openai", "Chat messages of OpenAI's, JSON Lines."),
                ("anthropic", "Requests to Anthropic."),
                ("sharegpt", "ShareGPT's JSON."),
                ("markdown, html", "For people: written only."),
                ("parquet", "For tables, with the extra [parquet]: written only."),
            ]
        ),
        Text(
            "import tells them apart by themselves (-f auto), and reads files of other programs "
            "too: see synmem help layouts. In a pipe show prints text, ls ids, and --json is "
            "-f json."
        ),
    ]  # fmt: skip


def environment() -> list[Block]:
    """The variables that are read."""
    return [
        Heading("Variables"),
        Terms(
            [
                ("SYNMEM_PROFILE", "The store where none is typed."),
                ("SYNMEM_CONFIG", "The configuration file, as --config."),
                ("SYNMEM_PROFILE_<NAME>_<KEY>", "A key of a profile, before config.toml; with "
                                                "_BACKEND a profile by itself."),
                ("SYNMEM_LLM_<KEY>", "A key of [llm], before config.toml."),
                ("SYNMEM_EMBEDDING_<KEY>", "The same of [embedding]."),
                ("SYNMEM_TOKENIZER", "As --tokenizer."),
                ("NO_COLOR, TERM=dumb", "No colours."),
                ("PAGER, LESS", "What long output on a terminal goes through; PAGER=cat: nothing."),
                ("COLUMNS", "How wide the terminal is."),
            ]
        ),
        Text(
            "${NAME} in config.toml is the value of that variable. Known programs' own variables "
            "(CLAUDE_CONFIG_DIR, CODEX_HOME, LLM_USER_PATH, XDG_*) say where their places are."
        ),
    ]  # fmt: skip


TOPICS: Final[dict[str, Callable[[], list[Block]]]] = {
    "stores": stores,
    "exit-codes": exit_codes,
    "times": times,
    "formats": formats,
    "layouts": layouts,
    "environment": environment,
}
"""Topic -> its page."""
