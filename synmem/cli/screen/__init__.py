"""What a person sees on a terminal: widths, colours, tables. Nothing here is for a pipe."""
