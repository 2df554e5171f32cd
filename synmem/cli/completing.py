"""What the shell completes: profile names, and the ids of the conversations of a store."""


def profiles(incomplete: str) -> list[str]:
    """The names of the profiles that begin like this."""
    return []


def conversations(incomplete: str) -> list[str]:
    """The ids of the store's conversations that begin like this."""
    return []
