"""The model that commands ask: the option, and how it is opened."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import render
from synmem.cli.run import Session

if TYPE_CHECKING:
    from synmem.model_settings import LLMSettings
    from synmem.operations.deriving.running import Asking

ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Which model of the configured LLM to ask."),
]


def configured(session: Session, model: str | None) -> "LLMSettings | None":
    """The LLM of the configuration, None where there is none; UsageError for a model of none."""
    from synmem.errors import UsageError
    from synmem.model_settings import HINT, llm_settings

    settings = llm_settings(session.config, model=model)
    if settings is None and model is not None:
        raise UsageError("--model: no LLM is configured", hint=HINT)
    return settings


@contextlib.asynccontextmanager
async def opened(
    session: Session,
    settings: "LLMSettings | None",
    heard: Callable[[], object] = lambda: None,
) -> AsyncIterator["Asking"]:
    """The LLM, closed at the end; it looks for its key, or fails, when it is first asked.

    `heard` is called after each answer.
    """
    from synmem.models import Model
    from synmem.operations.deriving.running import Asking

    if settings is None:
        yield Asking(_Nobody(), 1)
        return
    model = Model(settings.provider, settings.connection, heard)
    try:
        yield Asking(model, settings.max_prompt_characters)
    finally:
        await model.close()
        if session.verbose and model.calls:
            render.note(f"calls to the model: {model.calls}")


class _Nobody:
    """What is asked where no LLM is configured: what is remembered needs none."""

    async def generate(self, prompt: str) -> str:
        """Raises ModelError, always."""
        from synmem.model_settings import none_configured

        raise none_configured()
