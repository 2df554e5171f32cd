"""Secrets out of what is shown: URLs, settings and the texts of drivers' exceptions.

Where a URL can be read in two ways (a raw `@`, `/` or `?` in a password), too much is hidden
rather than too little.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

HIDDEN: Final = "***"

SECRET_KEY: Final = re.compile(
    "(?:password|passwd|passphrase|pass|pwd|secret|token|api_?key|access_?key"
    "|authmechanismproperties)$",
    re.IGNORECASE,
)
"""Keys of settings, and parameters of a URL, whose values are secret."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL = re.compile(r"(?:sqlite(?:\+\w+)?|memory|file):///|file://localhost/", re.IGNORECASE)
"""Nothing but a path follows: `@` and `:` are its own."""
_PARAMETER = re.compile(r"(?:^|[?&;])([^=&;?]+)=([^&]*)")
_HOST = r"(?:\[[^\]]*\]|[^:@,\[\]]+)(?::(?:\d{0,5}|\$\{\w+\}))?"
_HOSTS = re.compile(f"(?:{_HOST}(?:,{_HOST})*)?")
_BARE_AT = re.compile(r"[?&][^=&]*@")  # no parameter looks like that; the rest of a password may
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x20%&#\x7f]")
_PAIR = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s']+)")


def mask(url: str) -> str:
    """The URL with its password and its secret parameters as `***`."""
    shown, last = "", 0
    for start, end in secret_spans(url):
        shown += url[last:start] + HIDDEN
        last = end
    return shown + url[last:]


def mask_with(url: str, settings: Mapping[str, Any], *keys: str) -> str:
    """The URL, masked, with those of these settings behind it, as one would type them."""
    shown = mask(url)
    for key in keys:
        if key in settings:
            text = _NOT_IN_A_VALUE.sub(lambda found: f"%{ord(found[0]):02X}", str(settings[key]))
            shown += f"{'&' if '?' in shown else '?'}{key}={text}"
    return shown


def mask_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings fit to be shown; of a password command only the program is."""
    return {key: _masked_value(key, value) for key, value in settings.items()}


def _masked_value(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if SECRET_KEY.search(key):
        return HIDDEN
    if key == "password_command":
        program, *arguments = value.split(maxsplit=1) or [""]
        return f"{program} {HIDDEN}" if arguments else program
    return mask(value)


def mask_text(text: str, secrets: Iterable[str] = ()) -> str:
    """A text of somebody else's, say a driver's, without these secrets and those of its URLs."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        found = re.escape(secret)
        # A password of one or two letters is hidden as a word, or no text would be left.
        text = re.sub(found if len(secret) > 2 else rf"(?<!\w){found}(?!\w)", HIDDEN, text)
    return _URL_IN_TEXT.sub(lambda match: mask(match[0]), text)


def secrets_of(settings: Mapping[str, Any]) -> set[str]:
    """Every secret in these settings, as it is written and as a driver decodes it."""
    found: set[str] = set()
    for key, value in settings.items():
        if not isinstance(value, str):
            continue
        spans = [(0, len(value))] if SECRET_KEY.search(key) else secret_spans(value)
        for start, end in spans:
            found |= {value[start:end], unquoted(value[start:end])}
        if _SCHEME.match(value) and "@" in (authority := _authority(value)):
            password = authority.rpartition("@")[0].partition(":")[2]  # as a driver reads it
            found |= {password, unquoted(password)}
    return found - {""}


def secret_spans(url: str) -> list[tuple[int, int]]:
    """Where the secrets stand in a URL (or in libpq's `host=... password=...`), in order."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return [m.span(2) for m in _PAIR.finditer(url) if SECRET_KEY.search(m[1])]
    if _LOCAL.match(url):
        return []
    mark = url.find("?", scheme.end())
    parameters = [] if mark < 0 else _secret_parameters(url, mark)
    end = userinfo_end(url)
    colon = url.find(":", scheme.end(), len(url) if end < 0 else end)
    if end < 0 and _is_host(url):
        return parameters
    if end < 0:  # neither a host nor a user: whatever it is, its second half is not shown
        end = len(url)
    if colon < 0 or colon + 1 == end:
        return [span for span in parameters if span[0] > end]
    return [(colon + 1, end), *(span for span in parameters if span[0] > end)]


def userinfo_end(url: str) -> int:
    """Where the `@` stands that ends user and password, or -1."""
    start = _SCHEME.match(url)
    if start is None or _LOCAL.match(url):
        return -1
    mark = url.find("?", start.end())
    if mark < 0:
        return url.rfind("@", start.end())
    at = url.rfind("@", start.end(), mark)
    last = url.rfind("@", mark)
    hidden = _secret_parameters(url, mark)
    while any(begin <= last < end for begin, end in hidden):
        last = url.rfind("@", mark, last)
    if last < 0 or (at < 0 and _is_host(url)):
        return at
    return last  # a raw "?" in the password, or an "@" in a parameter: hide both


def with_password(url: str, password: str) -> str:
    """The URL with this password, quoted, in the place of the one it had, if any."""
    from urllib.parse import quote

    scheme = _SCHEME.match(url)
    start = scheme.end() if scheme else 0
    end = userinfo_end(url)
    user = "" if end < 0 else url[start:end].partition(":")[0]
    rest = url[start:] if end < 0 else url[end + 1 :]
    return f"{url[:start]}{user}:{quote(password, safe='')}@{rest}"


def without_user(url: str) -> str:
    """What follows the scheme, masked, and without user and password."""
    shown = mask(url)
    scheme = _SCHEME.match(url)
    if scheme is None:
        return shown
    authority = _authority(url)
    host = authority.rpartition("@")[2]
    rest = url[scheme.end() + len(authority) :]
    if _HOSTS.fullmatch(host) and "@" not in rest.partition("?")[0]:
        # As a driver reads it: an "@" among the parameters is not the end of a password.
        return host + mask(f"x://{rest}")[len("x://") :]
    return shown[max(userinfo_end(shown) + 1, scheme.end()) :]


def unquoted(text: str, errors: str = "replace") -> str:
    """`%41` as `A`; urllib is loaded only where there is one. `errors`: what becomes of what is no
    UTF-8, as `bytes.decode` has it."""
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text, errors=errors)


def _is_host(url: str) -> bool:
    """Whether what follows the scheme can be nothing but hosts, a path and parameters."""
    return bool(_HOSTS.fullmatch(_authority(url))) and not _BARE_AT.search(url)


def _authority(url: str) -> str:
    rest = url[url.index("://") + 3 :]
    return re.split("[/?#]", rest, maxsplit=1)[0]


def _secret_parameters(url: str, mark: int) -> list[tuple[int, int]]:
    return [
        match.span(2)
        for match in _PARAMETER.finditer(url, mark)
        if SECRET_KEY.search(unquoted(match[1]))
    ]
