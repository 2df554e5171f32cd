// What the Node.js programs here have in common: each line of the input, `{"do": ..., ...}`, is
// answered with one, `{"said": ...}`, or `{"error": ...}` where the framework threw.

const readline = require("node:readline");

const out = process.stdout.write.bind(process.stdout);
// A framework's own log is no answer.
process.stdout.write = process.stderr.write.bind(process.stderr);

/** Answer until the input ends; `can` has what can be done, each an async function of what is asked. */
exports.answer = async (can) => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { do: name, ...asked } = JSON.parse(line);
    let answer;
    try {
      answer = { said: (await can[name](asked)) ?? null };
    } catch (error) {
      answer = { error: `${error.name}: ${error.message}` };
    }
    out(JSON.stringify(answer) + "\n");
  }
  process.exit();
};
