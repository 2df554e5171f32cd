"""The forms of files that are written too: for other programs, people and synmem itself."""
