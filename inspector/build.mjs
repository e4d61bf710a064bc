// Makes the inspector's files in public/inspector from these sources: small, as a browser loads them.
// usage: node inspector/build.mjs      (it needs the packages of end2end)
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const { build, transform } = createRequire(new URL('../end2end/package.json', import.meta.url))('esbuild');
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** A style sheet as a string of the script that imports it. */
const style = {
  name: 'style',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { readFile } = await import('node:fs/promises');
      const { code } = await transform(await readFile(path, 'utf8'), { loader: 'css', minify: true });
      return { contents: code.trim(), loader: 'text' };
    }),
};

/** What is loaded by itself, when it is needed. */
const apart = {
  name: 'apart',
  setup: ({ onResolve }) => onResolve({ filter: /tools\.js$/ }, ({ kind, path }) => (kind === 'entry-point' ? null : { path, external: true })),
};

/** Makes the files: each has a path in public/inspector, and contents. */
export async function make({ write }) {
  const { outputFiles } = await build({
    entryPoints: [here('inspector.js'), here('tools.js')],
    outdir: here('../public/inspector'),
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2023',
    charset: 'utf8',
    legalComments: 'none',
    plugins: [style, apart],
    write,
  });
  return outputFiles;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await make({ write: true });
