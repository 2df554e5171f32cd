// Unpack what the package @sparticuz/chromium carries into a folder: node browser_unpack.cjs BIN OUT
const fs = require("fs");
const path = require("path");
const zlib = require("zlib");

const [bin, out] = process.argv.slice(2);
for (const name of ["chromium", "al2023.tar", "fonts.tar"]) {
  const packed = fs.readFileSync(path.join(bin, `${name}.br`));
  fs.writeFileSync(path.join(out, name), zlib.brotliDecompressSync(packed));
}
