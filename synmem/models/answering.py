"""What the clients of OpenAI and Anthropic have in common: both are generated from one mould, with
the same classes of errors. They retry, wait and give up by themselves; here their errors become
ours, in one line, without secrets.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from synmem.errors import ModelError
from synmem.masking import mask, mask_text
from synmem.models.environment import http_client

_LONGEST: Final = 300
_HEADER: Final = re.compile(r"(?i)(illegal header (?:name|value)).*")
"""What the library says of a header, say one of ANTHROPIC_CUSTOM_HEADERS, shows it."""
_RETRYABLE: Final = {408, 409, 429, 529}
_HINTS: Final = {
    400: "the model refuses the prompt: is max_prompt_tokens in [llm] too large for it?",
    401: "check the key: api_key, api_key_command, or the environment",
    403: "the key is not allowed to do that",
    404: "check model and base_url in [llm]",
    429: "too many requests, or no credit left: try later",
}


def client_settings(sdk: ModuleType, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Key, address, timeout, retries and connections, as both clients take them.

    ModelError where the key cannot be sent, or the environment lets no connection be made.
    """
    timeout_s = settings["timeout_s"]
    timeout = sdk.Timeout(timeout_s, connect=min(10, timeout_s))
    given = {
        "api_key": checked_key(settings["api_key"], "api_key"),
        "base_url": settings.get("base_url"),
        "timeout": timeout,
        "max_retries": settings["attempts"] - 1,
        "http_client": http_client(sdk, timeout),
    }
    return {key: value for key, value in given.items() if value is not None}


def checked_key(key: str, origin: str) -> str:
    """The key, without white space around it: some files of variables end their lines in CR LF.

    ModelError where it holds what no header of HTTP may: the library would show it, key and all.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ModelError(
            f"the key in {origin} holds a control character, or one that is not ASCII",
            hint="is it the key alone, on one line?",
        )
    return key


def shown(provider: str, settings: Mapping[str, Any]) -> str:
    """What errors call the model: its name, and where it is if that was configured."""
    url = settings.get("base_url")
    return f"{settings['model']} at {mask(url)}" if url else f"{settings['model']} ({provider})"


@contextlib.contextmanager
def translating(
    sdk: ModuleType, name: str, secrets: set[str], *, table: str = "llm"
) -> Iterator[None]:
    """Every way in which a request can fail as a ModelError; `table` is the configuration's."""
    base = getattr(sdk, "OpenAIError", None) or sdk.AnthropicError
    try:
        yield
    except sdk.APITimeoutError as error:
        raise _failed(f"{name} did not answer in time", f"timeout_s in [{table}]", True) from error
    except sdk.APIConnectionError as error:
        why = _line(str(error.__cause__ or error), secrets)
        raise _failed(f"{name} cannot be reached: {why}", "is it running?", True) from error
    except sdk.APIStatusError as error:
        code = error.status_code
        retryable = code in _RETRYABLE or code >= 500
        why = _line(_message(error), secrets)
        raise _failed(f"{name} answered {code}: {why}", _hint(code, table), retryable) from error
    except (base, ValueError, TypeError, AttributeError, LookupError) as error:
        # A body that is no JSON, or JSON of another shape: something else listens there.
        why = _line(str(error), secrets) if isinstance(error, base) else "not what it should be"
        raise _failed(f"the answer of {name} cannot be read: {why}", "check base_url") from error


def _hint(code: int, table: str) -> str | None:
    if code == 400 and table != "llm":
        return f"check model and dimensions in [{table}]"
    hint = _HINTS.get(code)
    return hint and hint.replace("[llm]", f"[{table}]")


def whole(text: object, name: str, *, cut: bool, limit: object) -> str:
    """The text of an answer; ModelError where there is none, or not all of it."""
    if cut:
        raise ModelError(
            f"the answer of {name} was cut off" + (f" after {limit} tokens" if limit else ""),
            hint="max_output_tokens in [llm]",
        )
    if not isinstance(text, str) or not text.strip():
        raise ModelError(f"{name} answered nothing")
    return text.strip()


def _failed(message: str, hint: str | None, retryable: bool = False) -> ModelError:
    error = ModelError(message, hint=hint)
    error.retryable = retryable
    return error


def _message(error: Any) -> str:
    """What the server says: both protocols have it in `error.message`."""
    body = error.body
    inner = body.get("error", body) if isinstance(body, dict) else None
    said = inner.get("message") if isinstance(inner, dict) else inner
    return said if isinstance(said, str) and said else str(error.response.reason_phrase)


def _line(text: str, secrets: set[str]) -> str:
    text = mask_text(_HEADER.sub(r"\1", " ".join(text.split())), secrets)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
