// Bundles the viewer's libraries into graphkit/render/viewer/libraries/: `npm ci --ignore-scripts && npm run bundle`.
// The versions are those of package-lock.json, so that the same bytes come out everywhere.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "..", "graphkit", "render", "viewer", "libraries");
mkdirSync(target, { recursive: true });

const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: ["libraries.js"],
    outfile: join(target, "libraries.js"),
    bundle: true,
    minify: true,
    format: "iife",
    globalName: "libraries",
    target: "es2022",
    charset: "ascii",
    legalComments: "none",
    metafile: true,
});

const used = new Set();
for (const input of Object.keys(metafile.inputs)) {
    const found = input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (found) used.add(found[1]);
}

const notices = [...used].sort().map((name) => {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} carries no licence text`);
    return { name, version, license, text: readFileSync(join(folder, file), "utf8").trim() };
});

const script = readFileSync(join(target, "libraries.js"));
const manifest = {
    sha256: createHash("sha256").update(script).digest("hex"),
    libraries: notices.map(({ name, version, license }) => ({ name, version, license })),
};
writeFileSync(join(target, "libraries.json"), `${JSON.stringify(manifest, null, 2)}\n`);
writeFileSync(
    join(target, "LICENSES.txt"),
    notices.map(({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}\n`).join(`\n${"-".repeat(80)}\n\n`),
);
