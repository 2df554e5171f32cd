"""Models for the tests: they answer, remember what they were asked, and may fail."""


class Echo:
    """Answers with a number and remembers every prompt."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    async def generate(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return f"answer {len(self.prompts)}"


class Failing:
    """Fails, until it is told to work."""

    def __init__(self) -> None:
        self.works = False

    async def generate(self, prompt: str) -> str:
        if not self.works:
            raise RuntimeError("the model is down")
        return "a summary"


class Nothing(Echo):
    """Answers nothing, until it is given an answer."""

    answer = ""

    async def generate(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self.answer
