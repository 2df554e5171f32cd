"""The real Chainlit."""

import contextlib
import tempfile
from collections.abc import Iterator

from tests.services import framework
from tests.services.framework import Framework

PACKAGES = ("chainlit==2.12.0", "SQLAlchemy", "asyncpg", "aiosqlite", "greenlet")
"""That which wrote the fixture."""


@contextlib.contextmanager
def chainlit() -> Iterator[Framework]:
    """It, until the end; its settings, which it writes where it is, lie in a folder of their own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        framework.running(PACKAGES, "chainlit_program.py", CHAINLIT_APP_ROOT=folder) as running,
    ):
        yield running


SQLALCHEMY = """
CREATE TABLE users ("id" {uuid} PRIMARY KEY, "identifier" TEXT NOT NULL UNIQUE,
    "metadata" {jsonb} NOT NULL, "createdAt" TEXT);
CREATE TABLE threads ("id" {uuid} PRIMARY KEY, "createdAt" TEXT, "name" TEXT, "userId" {uuid},
    "userIdentifier" TEXT, "tags" {tags}, "metadata" {jsonb});
CREATE TABLE steps ("id" {uuid} PRIMARY KEY, "name" TEXT NOT NULL, "type" TEXT NOT NULL,
    "threadId" {uuid} NOT NULL, "parentId" {uuid}, "streaming" BOOLEAN NOT NULL,
    "waitForAnswer" BOOLEAN, "isError" BOOLEAN, "metadata" {jsonb}, "tags" {tags}, "input" TEXT,
    "output" TEXT, "createdAt" TEXT, "command" TEXT, "start" TEXT, "end" TEXT,
    "generation" {jsonb}, "showInput" TEXT, "language" TEXT, "indent" INT,
    "defaultOpen" BOOLEAN, "autoCollapse" BOOLEAN, "modes" {jsonb}, "icon" TEXT);
CREATE TABLE elements ("id" {uuid} PRIMARY KEY, "threadId" {uuid}, "type" TEXT, "url" TEXT,
    "chainlitKey" TEXT, "name" TEXT NOT NULL, "display" TEXT, "objectKey" TEXT, "size" TEXT,
    "page" INT, "language" TEXT, "forId" {uuid}, "mime" TEXT, "props" {jsonb},
    "autoPlay" BOOLEAN, "playerConfig" {jsonb});
CREATE TABLE feedbacks ("id" {uuid} PRIMARY KEY, "forId" {uuid} NOT NULL,
    "threadId" {uuid}, "value" INT NOT NULL, "comment" TEXT)
"""
"""The tables that Chainlit's manual has for SQLAlchemy's layer, for either database."""

PRISMA = """
CREATE TYPE "StepType" AS ENUM ('assistant_message', 'embedding', 'llm', 'retrieval', 'rerank',
    'run', 'system_message', 'tool', 'undefined', 'user_message');
CREATE TABLE "User" ("id" TEXT PRIMARY KEY, "createdAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, "metadata" JSONB, "identifier" TEXT);
CREATE TABLE "Thread" ("id" TEXT PRIMARY KEY, "createdAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, "deletedAt" TIMESTAMP(3), "name" TEXT,
    "metadata" JSONB NOT NULL, "tags" TEXT[] DEFAULT ARRAY[]::TEXT[], "userId" TEXT);
CREATE TABLE "Step" ("id" TEXT PRIMARY KEY, "createdAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, "parentId" TEXT, "threadId" TEXT,
    "input" TEXT, "metadata" JSONB NOT NULL, "name" TEXT, "output" TEXT, "type" "StepType",
    "showInput" TEXT DEFAULT 'json', "isError" BOOLEAN DEFAULT false,
    "startTime" TIMESTAMP(3) NOT NULL, "endTime" TIMESTAMP(3) NOT NULL);
CREATE TABLE "Element" ("id" TEXT PRIMARY KEY, "createdAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, "threadId" TEXT, "stepId" TEXT NOT NULL,
    "metadata" JSONB NOT NULL, "mime" TEXT, "name" TEXT NOT NULL, "objectKey" TEXT, "url" TEXT,
    "chainlitKey" TEXT, "display" TEXT, "size" TEXT, "language" TEXT, "page" INTEGER,
    "props" JSONB);
CREATE TABLE "Feedback" ("id" TEXT PRIMARY KEY, "createdAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, "stepId" TEXT, "name" TEXT NOT NULL,
    "value" DOUBLE PRECISION NOT NULL, "comment" TEXT)
"""
"""The tables of the official layer, as its Prisma schema makes them."""
