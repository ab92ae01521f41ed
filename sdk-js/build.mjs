/** Build `dist/`: the script (UMD), the module (ESM), their types, and what they weigh; too heavy is an error. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build, transform } from "esbuild";

const HEAVIEST = 6000; // bytes of checkout.js as gzip sends it
const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const oldest = ["chrome73", "firefox78", "safari13"];

/** Styles travel as text, as small as they can be. */
const css = {
  name: "css",
  setup(ours) {
    ours.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, "utf8"), { loader: "css", minify: true, target: oldest });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

const licence = `/*! Ledgate checkout ${version} | MIT */\n`;
const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  sourcemap: true,
  define: { VERSION: JSON.stringify(version) },
  plugins: [css],
};

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
await build({
  ...common,
  entryPoints: ["src/umd.ts"],
  outfile: "dist/checkout.js",
  format: "iife",
  target: "es2020",
  banner: { js: `${licence}(commonJs=>{` },
  footer: { js: '})(typeof module=="object"&&module);' },
});
await build({
  ...common,
  entryPoints: ["src/esm.ts"],
  outfile: "dist/checkout.mjs",
  format: "esm",
  target: "es2020",
  banner: { js: licence },
});

const types = mkdtempSync(join(tmpdir(), "types-"));
const tsc = join(here, "node_modules/typescript/bin/tsc");
execFileSync(
  process.execPath,
  [tsc, "--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--rootDir", ".", "--outDir", types],
  { cwd: here, stdio: "inherit" },
);
for (const name of ["checkout.d.ts", "checkout.d.mts"]) copyFileSync(join(types, "src/api.d.ts"), join(dist, name));
rmSync(types, { recursive: true });

const script = readFileSync(join(dist, "checkout.js"));
const told = {
  version,
  integrity: `sha384-${createHash("sha384").update(script).digest("base64")}`,
  bytes: script.length,
  gzip: gzipSync(script, { level: 9 }).length,
  brotli: brotliCompressSync(script, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length,
};
writeFileSync(join(dist, "build.json"), JSON.stringify(told, null, 2) + "\n");
console.log(told);
if (told.gzip > HEAVIEST) {
  console.error(`checkout.js is ${told.gzip} bytes gzipped; ${HEAVIEST} are allowed`);
  process.exit(1);
}
