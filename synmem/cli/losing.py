"""What a person is told of an export whose form has no place for all that there is."""

from synmem.cli import render
from synmem.cli.run import Session
from synmem.formats.losses import Losses


def tell(session: Session, form: str, losses: Losses) -> int:
    """Name the messages that are not in it, and say what else is not; how many are named."""
    for each in losses.left_out:
        where, why = map(render.visible_line, (each.conversation, each.reason))
        render.note(f"{where}: message {each.number:,} left out: {why}")
    if losses.count > len(losses.left_out):
        render.note(f"{losses.count - len(losses.left_out):,} more left out")
    if losses.lost:
        lost = ", ".join(
            f"{render.visible_line(what)} ({times:,})" for what, times in losses.lost.items()
        )
        session.note(f"not in it, which {form} has no place for: {lost}")
    return losses.count
