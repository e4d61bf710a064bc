//! A tidy test: every rule of PROTOCOL.md has a test, and every test names rules of PROTOCOL.md.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeSet;

/// The document that defines the rules.
const PROTOCOL: &str = include_str!("../../../../PROTOCOL.md");

/// Rules about how the code is written: reviewers and the compiler check them.
const WITHOUT_TEST: &[&str] = &["PU-5"];

const TESTS: &[(&str, &str)] = &[
    ("access", include_str!("access.rs")),
    ("edges", include_str!("edges.rs")),
    ("edges_server", include_str!("edges_server.rs")),
    ("exactly_once", include_str!("exactly_once.rs")),
    ("feed", include_str!("feed.rs")),
    ("found", include_str!("found.rs")),
    ("gaps", include_str!("gaps.rs")),
    ("handshake", include_str!("handshake.rs")),
    ("heartbeat", include_str!("heartbeat.rs")),
    ("heirs", include_str!("heirs.rs")),
    ("limits", include_str!("limits.rs")),
    ("nodes", include_str!("nodes.rs")),
    ("one_pass", include_str!("one_pass.rs")),
    ("outage", include_str!("outage.rs")),
    ("presence", include_str!("presence.rs")),
    ("pure", include_str!("pure.rs")),
    ("reconnect", include_str!("reconnect.rs")),
    ("refused_handshakes", include_str!("refused_handshakes.rs")),
    ("refusals", include_str!("refusals.rs")),
    ("request", include_str!("request.rs")),
    ("resume", include_str!("resume.rs")),
    ("rules", include_str!("rules.rs")),
    ("tokens", include_str!("tokens.rs")),
    ("tutorial", include_str!("tutorial.rs")),
    ("unfit", include_str!("unfit.rs")),
    ("uplink", include_str!("uplink.rs")),
    ("waiting", include_str!("waiting.rs")),
    ("wire", include_str!("wire.rs")),
];

/// Whether a word is a rule's id: two capitals, a hyphen, digits.
fn is_id(word: &str) -> bool {
    word.split_once('-').is_some_and(|(list, number)| {
        list.len() == 2
            && list.bytes().all(|b| b.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The rule ids in a text.
fn ids(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| is_id(word)).collect()
}

/// The rules that a document defines, in its order: each begins a list entry with its id in bold,
/// `- **HB-2** …`.
fn defined(document: &str) -> Vec<&str> {
    let entries = document
        .lines()
        .filter_map(|line| line.strip_prefix("- **"));
    let bold = entries.filter_map(|entry| Some(entry.split_once("**")?.0));
    bold.filter(|word| is_id(word)).collect()
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

/// PU-7: the rules of the document and the tests agree.
#[test]
fn every_rule_has_a_test_and_every_test_a_rule() {
    let known: BTreeSet<&str> = defined(PROTOCOL).into_iter().collect();
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
    let missing: Vec<_> = known
        .iter()
        .filter(|id| !proved.contains(**id) && !WITHOUT_TEST.contains(*id))
        .collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}

/// PU-7: the document defines each rule once, without a hole in its list, and refers to no other.
#[test]
fn each_rule_is_defined_once() {
    let rules = defined(PROTOCOL);
    let lists: BTreeSet<&str> = rules.iter().map(|id| &id[..2]).collect();
    let known = ["AC", "EO", "HB", "PR", "PU", "RC", "RS"];
    assert_eq!(lists, BTreeSet::from(known));
    for list in lists {
        let found: Vec<&str> = rules
            .iter()
            .filter(|id| id.starts_with(list))
            .copied()
            .collect();
        let expected: Vec<String> = (1..=found.len()).map(|n| format!("{list}-{n}")).collect();
        assert_eq!(found, expected);
    }
    let known: BTreeSet<&str> = rules.into_iter().collect();
    let unknown: Vec<_> = ids(PROTOCOL).difference(&known).copied().collect();
    assert!(unknown.is_empty(), "{unknown:?} are defined nowhere");
    for id in WITHOUT_TEST {
        assert!(known.contains(id), "{id} is no rule");
    }
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
