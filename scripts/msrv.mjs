// What `cargo metadata` says of packages and their `rust-version`, checked: a library must not declare a version that is older than that of
// one of its dependencies. Reads the metadata on stdin; the arguments name the libraries. Prints each of them with its version.
import { readFileSync } from 'node:fs';

const libraries = process.argv.slice(2);
const { packages, resolve } = JSON.parse(readFileSync(0, 'utf8'));
const byId = new Map(packages.map((pkg) => [pkg.id, pkg]));
const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));

const parts = (version) => [...version.split('.').map(Number), 0, 0].slice(0, 3);
function compare(one, other) {
  const [a, b] = [parts(one), parts(other)];
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

// What a user of the library builds: no dependencies of its tests.
function built(root) {
  const seen = new Set();
  const todo = [root];
  for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) {
      if (kinds.some(({ kind }) => kind !== 'dev')) todo.push(pkg);
    }
  }
  return [...seen].map((id) => byId.get(id));
}

const errors = [];
for (const name of libraries) {
  const library = packages.find((pkg) => pkg.name === name && pkg.source === null);
  if (!library?.rust_version) {
    errors.push(`${name} declares no rust-version.`);
    continue;
  }
  for (const pkg of built(library.id)) {
    if (pkg.rust_version && compare(pkg.rust_version, library.rust_version) > 0) {
      errors.push(`${name} declares Rust ${library.rust_version}, but ${pkg.name} ${pkg.version} needs ${pkg.rust_version}.`);
    }
  }
}
if (errors.length > 0) {
  console.error(errors.join('\n'));
  process.exit(1);
}
for (const name of libraries) {
  console.log(name, packages.find((pkg) => pkg.name === name && pkg.source === null).rust_version);
}
