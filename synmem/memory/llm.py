"""What the classes that ask a model take: anything with `async generate(prompt) -> str`."""

from synmem.models import LLM


def checked(llm: LLM) -> LLM:
    """The model; ValueError where it is none."""
    if not callable(getattr(llm, "generate", None)):
        raise ValueError("llm must have a method `async generate(prompt) -> str`")
    return llm
