"""The command line: one file a command or group; `app.py` registers them, `run.py` runs them."""
