// Run by Node.js with LibreChat's own models and methods: does what each line of its input asks, and
// answers in one.

const { mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

// Its log files are nobody's; else they would lie where the tests were called.
const logs = (process.env.LIBRECHAT_LOG_DIR = mkdtempSync(join(tmpdir(), "librechat-")));
process.on("exit", () => rmSync(logs, { recursive: true, force: true }));

const { answer } = require("./answering.cjs");
const mongoose = require("mongoose");
const { createMethods, createModels } = require("@librechat/data-schemas");

// Only the collections that are written: LibreChat has fifty, with their indexes.
mongoose.set("autoCreate", false);
mongoose.set("autoIndex", false);
createModels(mongoose);
const methods = createMethods(mongoose);

answer({
  /** Do these, [a method of LibreChat's, what it is given ...], one after the other; what each gave. */
  call: async ({ url, database, calls }) => {
    await mongoose.connect(url, { dbName: database });
    try {
      const given = [];
      for (const [name, ...values] of calls) given.push((await methods[name](...values)) ?? null);
      return given;
    } finally {
      await mongoose.disconnect();
    }
  },
});
