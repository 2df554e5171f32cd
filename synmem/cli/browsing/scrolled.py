"""Lines that are drawn one by one, of which some are seen."""

from textual.scroll_view import ScrollView


class Scrolled(ScrollView, inherit_bindings=False):
    """A ScrollView whose bar is right when it appears, too: Textual tells only one that is shown
    where the lines are."""

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """The bar comes or goes."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y
