"""synmem: the command line, and the library, for conversation stores."""

__version__ = "0.1.0"
