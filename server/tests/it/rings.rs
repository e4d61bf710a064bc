//! The modules of the server and of its library have no import rings: a reader can begin at the leaves, and a part can be taken out.
//! Parents and children of one module are excepted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, iter};

/// A module by its path within the crate; the root has none.
type Module = Vec<String>;

/// The modules that each module uses.
type Uses = BTreeMap<Module, BTreeSet<Module>>;

/// Finds the modules below a directory, with their code: without comments and tests.
fn modules(directory: &Path, parent: &Module, found: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module: Module = match name.as_str() {
            "tests" | "main" => continue,
            "lib" => Module::new(),
            _ => parent.iter().cloned().chain([name]).collect(),
        };
        if path.is_dir() {
            modules(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = |line: &str| line.split("//").next().unwrap().to_owned();
            found.insert(
                module,
                text.lines().map(code).collect::<Vec<_>>().join("\n"),
            );
        }
    }
}

/// Parses a path, or a tree of paths, as in `use`. Returns the rest of the text.
fn read<'t>(prefix: &[String], text: &'t str, paths: &mut Vec<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = read(prefix, rest, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let path: Vec<String> = match name {
        "" | "self" if !prefix.is_empty() => prefix.to_vec(),
        _ => prefix.iter().cloned().chain([name.to_owned()]).collect(),
    };
    match rest.strip_prefix("::") {
        Some(rest) => read(&path, rest, paths),
        None => {
            paths.push(path);
            let renamed = rest.strip_prefix(" as ");
            renamed.map_or(rest, |rest| {
                rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
            })
        }
    }
}

/// The paths in a text that begin with `crate`, `super` or `self`, after the prefix `before`.
fn paths(text: &str, before: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        let sought = format!("{before}{start}");
        for (at, _) in text.match_indices(&sought) {
            let is_inner = text[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
            if !is_inner {
                read(&[], &text[at + before.len()..], &mut paths);
            }
        }
    }
    paths
}

/// The module to which a path leads from another module.
fn resolve(path: &[String], from: &Module, all: &BTreeMap<Module, String>) -> Option<Module> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let (mut module, names) = match path.first()?.as_str() {
        "crate" => (Module::new(), &path[1..]),
        "super" => (
            from[..from.len().checked_sub(supers)?].to_vec(),
            &path[supers..],
        ),
        _ => (from.clone(), &path[1..]),
    };
    for name in names {
        let inner: Module = module.iter().cloned().chain([name.clone()]).collect();
        if !all.contains_key(&inner) {
            break;
        }
        module = inner;
    }
    Some(module)
}

/// The modules that each module uses, re-exports resolved.
fn uses(all: &BTreeMap<Module, String>) -> Uses {
    let mut exported = BTreeMap::new();
    for (module, text) in all {
        for public in ["pub use ", "pub(crate) use ", "pub(super) use "] {
            for path in paths(text, public) {
                let from = resolve(&path, module, all);
                exported.insert((module.clone(), path.last().cloned()), from.unwrap());
            }
        }
    }
    let mut uses = Uses::new();
    for (module, text) in all {
        let used = paths(text, "").into_iter().filter_map(|path| {
            let used = resolve(&path, module, all)?;
            let through = exported.get(&(used.clone(), path.last().cloned()));
            Some(through.cloned().unwrap_or(used))
        });
        let is_apart = |used: &Module| !used.starts_with(module) && !module.starts_with(used);
        uses.insert(module.clone(), used.filter(is_apart).collect());
    }
    uses
}

/// The modules that remain when those that use no remaining one are removed again and again: rings, and their
/// users.
fn rings(mut uses: Uses) -> Uses {
    loop {
        let left: BTreeSet<Module> = uses.keys().cloned().collect();
        for used in uses.values_mut() {
            used.retain(|module| left.contains(module));
        }
        uses.retain(|_, used| !used.is_empty());
        if uses.len() == left.len() {
            return uses;
        }
    }
}

#[test]
fn no_two_modules_use_each_other() {
    for (folder, modules_min, uses_min) in [(".", 20, 40), ("../crates/axum", 80, 200)] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut all = BTreeMap::new();
        modules(&source.join("src"), &Module::new(), &mut all);
        let uses = uses(&all);
        let count = uses.values().map(BTreeSet::len).sum::<usize>();
        let is_read = all.len() >= modules_min && count >= uses_min;
        assert!(is_read, "{folder}: {} {count}", all.len());
        has_no_rings(uses);
    }
}

fn has_no_rings(uses: Uses) {
    // The same with each top-level module and all below it as one.
    let part = |module: &Module| module.iter().take(1).cloned().collect::<Module>();
    let mut parts = Uses::new();
    for (module, used) in &uses {
        let used = used.iter().map(part).filter(|used| *used != part(module));
        parts.entry(part(module)).or_default().extend(used);
    }
    assert_eq!(rings(uses), Uses::new());
    assert_eq!(rings(parts), Uses::new());
}

/// The parser and the search of the test above.
#[test]
fn a_ring_is_found() {
    let text = |text: &str| text.to_owned();
    let module = |path: &str| -> Module {
        let names = path.split("::").filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    let all: BTreeMap<Module, String> = [
        ("", text("")),
        (
            "a",
            text("use crate::b::{self, C as D, e::F};\nuse crate::c::G;"),
        ),
        ("b", text("pub use self::e::F;")),
        ("b::e", text("fn of(x: super::super::c::H<crate::d::I>) {}")),
        ("c", text("pub(crate) use crate::d::{\n    J,\n    K,\n};")),
        ("d", text("use crate::b::F;")),
    ]
    .map(|(path, text)| (module(path), text))
    .into();
    let uses = uses(&all);
    let of = |path| uses[&module(path)].iter().map(|used| used.join("::"));
    assert!(of("a").eq(["b", "b::e", "c"]));
    assert!(of("b::e").eq(["c", "d"]));
    assert!(of("d").eq(["b::e"]));
    let ring = rings(uses);
    let ring = ring.keys().map(|module| module.join("::"));
    assert!(ring.eq(["a", "b::e", "c", "d"]));
    assert!(rings(iter::once((module("a"), [module("b")].into())).collect()).is_empty());
}
