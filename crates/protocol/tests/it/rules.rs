//! A tidy test: every rule has a test, every test names rules that exist.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeSet;

/// The rules that can be proved here.
const RULES: &[&str] = &[
    "AC-1", "AC-2", "AC-3", "AC-4", "AC-5", "AC-6", //
    "PU-1", "PU-2", "PU-3", "PU-4", "PU-6", "PU-7", //
    "RS-1", "RS-2", "RS-3", "RS-4", "RS-5", "RS-6", "RS-7", "RS-8", "RS-9", //
    "EO-1", "EO-2", "EO-3", "EO-4", "EO-5", "EO-6", "EO-7", "EO-8", //
    "PR-1", "PR-2", //
    "HB-1", "HB-2", "HB-3", "HB-4", "HB-5", "HB-6", "HB-7", "HB-8", "HB-9", //
    "RC-1", "RC-2", "RC-3", "RC-4", "RC-5", "RC-6", "RC-7",
];

/// Rules about how the code is written: reviewers and the compiler see to them.
const WITHOUT_TEST: &[&str] = &["PU-5"];

const TESTS: &[(&str, &str)] = &[
    ("access", include_str!("access.rs")),
    ("edges", include_str!("edges.rs")),
    ("edges_server", include_str!("edges_server.rs")),
    ("exactly_once", include_str!("exactly_once.rs")),
    ("feed", include_str!("feed.rs")),
    ("gaps", include_str!("gaps.rs")),
    ("handshake", include_str!("handshake.rs")),
    ("heartbeat", include_str!("heartbeat.rs")),
    ("heirs", include_str!("heirs.rs")),
    ("limits", include_str!("limits.rs")),
    ("presence", include_str!("presence.rs")),
    ("pure", include_str!("pure.rs")),
    ("reconnect", include_str!("reconnect.rs")),
    ("refusals", include_str!("refusals.rs")),
    ("resume", include_str!("resume.rs")),
    ("rules", include_str!("rules.rs")),
    ("tokens", include_str!("tokens.rs")),
    ("tutorial", include_str!("tutorial.rs")),
    ("unfit", include_str!("unfit.rs")),
    ("uplink", include_str!("uplink.rs")),
    ("waiting", include_str!("waiting.rs")),
    ("wire", include_str!("wire.rs")),
];

/// The rule ids in a text: two capitals, a hyphen, digits.
fn ids(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let is_id = |word: &&str| {
        word.split_once('-').is_some_and(|(list, number)| {
            list.len() == 2
                && list.bytes().all(|b| b.is_ascii_uppercase())
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        })
    };
    words.filter(is_id).collect()
}

/// The doc comment of each test of a source.
fn docs(source: &str) -> Vec<String> {
    let mut docs = Vec::new();
    let mut doc = String::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            doc.push_str(text);
            doc.push(' ');
        } else if line == "#[test]" {
            docs.push(std::mem::take(&mut doc));
        } else {
            doc.clear();
        }
    }
    docs
}

/// PU-7: the list of rules and the tests agree.
#[test]
fn every_rule_has_a_test_and_every_test_a_rule() {
    let known: BTreeSet<&str> = RULES.iter().chain(WITHOUT_TEST).copied().collect();
    let mut proved = BTreeSet::new();
    for (module, source) in TESTS {
        for doc in docs(source) {
            let named = ids(&doc);
            let unknown: Vec<_> = named.difference(&known).collect();
            assert!(unknown.is_empty(), "{module}: {unknown:?} in {doc:?}");
            assert!(
                !named.is_empty() || *module == "tutorial",
                "{module}: no rule in {doc:?}"
            );
            proved.extend(named.into_iter().map(str::to_owned));
        }
    }
    let missing: Vec<_> = RULES.iter().filter(|id| !proved.contains(**id)).collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}

/// PU-6: every module is listed here and runs its tests on wasm32 too.
#[test]
fn every_module_runs_on_wasm_too() {
    const HELPERS: [&str; 6] = ["link", "log", "machine", "pair", "solo", "world"];
    let main = include_str!("main.rs");
    let modules = main
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    for module in modules.filter(|module| !HELPERS.contains(module)) {
        let source = TESTS.iter().find(|(name, _)| *name == module);
        let (_, source) = source.unwrap_or_else(|| panic!("{module} is not listed"));
        assert!(
            source.contains("use wasm_bindgen_test::wasm_bindgen_test as test;"),
            "{module} does not run on wasm32"
        );
    }
}
