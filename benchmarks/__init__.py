"""Side-by-side measurements of DESIGN's section on speed: `python -m benchmarks --help`."""
