"""What `--help`, `synmem help` and the man pages say: made once, for a terminal and for man."""
