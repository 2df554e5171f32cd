"""The full-screen browser. Everything here may import Textual: only `synmem browse` loads it."""
