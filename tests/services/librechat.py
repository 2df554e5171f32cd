"""The real models and methods of LibreChat."""

from functools import partial

from tests.services import node

PACKAGES = {
    "@librechat/data-schemas": "0.0.71",
    "mongoose": "8.24.10",
    # what it wants beside it, and what that does
    "dotenv": "17.2.3",
    "jsonwebtoken": "9.0.3",
    "klona": "2.0.6",
    "librechat-data-provider": "0.8.524",
    "lodash": "4.18.1",
    "meilisearch": "0.38.0",
    "nanoid": "3.3.20",
    "winston": "3.19.0",
    "winston-daily-rotate-file": "5.0.0",
}
"""The packages that wrote the fixture."""


librechat = partial(node.running, PACKAGES, "librechat_program.cjs")
"""It, until the end."""
