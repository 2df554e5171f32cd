"""HTML to read: a page that needs nothing else, searched, folded and printed offline.

All content is hostile. It stands in the page as text, escaped, hidden characters in visible form;
the page's policy lets its own style and script act, by their hashes, and nothing else.
"""
