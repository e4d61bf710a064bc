//! The state of all nodes, as an operator reads it: a table, and what is wrong.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::NodeStatus;

/// A lease that is older than this is of a node that may be gone: its clients count as away by then.
const FRESH_MS: u64 = 5_000;

/// How many digits of a digest are shown.
const DIGITS: usize = 12;

/// A node that was asked, and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The URL of its listener for peers.
    pub peer: String,
    /// Its state.
    pub status: Option<NodeStatus>,
    /// Why there is none.
    pub error: Option<String>,
}

/// What is wrong, in sentences; empty where nothing is.
pub fn alarms(asked: &[Asked]) -> Vec<String> {
    let nodes: Vec<&NodeStatus> = asked.iter().filter_map(|one| one.status.as_ref()).collect();
    let mut alarms = Vec::new();
    for one in asked {
        if let Some(error) = &one.error {
            alarms.push(error.clone());
        }
    }
    for (name, count) in counts(nodes.iter().map(|node| node.node.as_str())) {
        if count > 1 && name != "-" {
            alarms.push(format!(
                "{count} nodes are called {name}: give each a name of its own"
            ));
        }
    }
    let epochs = nodes.iter().map(|node| node.epoch.as_str());
    let epochs: Vec<&str> = counts(epochs.filter(|epoch| !epoch.is_empty()))
        .into_keys()
        .collect();
    if epochs.len() > 1 {
        alarms.push(format!(
            "the nodes have different logs (epochs {}): one of them belongs to another server",
            epochs.join(", ")
        ));
    }
    alarms.extend(differences(&nodes));
    for node in &nodes {
        if node.state != "ready" {
            alarms.push(format!("{} is not ready: {}", node.node, node.state));
        }
    }
    alarms
}

/// Nodes that applied the same commands and have not the same: one of them is damaged, or is of a version that folds otherwise.
fn differences(nodes: &[&NodeStatus]) -> Vec<String> {
    let mut at: BTreeMap<u64, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for node in nodes.iter().filter(|node| node.applied.sequence > 0) {
        let there = at.entry(node.applied.sequence).or_default();
        let digest = node.applied.digest.as_str();
        there.entry(digest).or_default().push(&node.node);
    }
    let differ = at.into_iter().filter(|(_, digests)| digests.len() > 1);
    differ
        .map(|(sequence, digests)| {
            let each = digests.into_iter();
            let each = each.map(|(digest, names)| format!("{} {}", names.join(", "), short(digest)));
            format!(
                "DIFFERENT CONTENTS at sequence {sequence}: {}. Stop the node that differs from the others, move its data away, \
                 and let it take a copy",
                each.collect::<Vec<_>>().join("; ")
            )
        })
        .collect()
}

fn counts<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The newest sequence that any node knows of.
fn newest(asked: &[Asked]) -> u64 {
    let nodes = asked.iter().filter_map(|one| one.status.as_ref());
    let known = nodes.map(|node| node.newest.unwrap_or_default().max(node.applied.sequence));
    known.max().unwrap_or_default()
}

/// Writes a table of the nodes, and of those that they hear of and that were not asked.
///
/// # Errors
/// Those of `told`.
pub fn table(asked: &[Asked], told: &mut dyn Write) -> io::Result<()> {
    let newest = newest(asked);
    writeln!(
        told,
        "{:<20} {:<10} {:<12} {:>9} {:>12} {:>9}  {:<13} address",
        "node", "version", "state", "clients", "applied", "behind", "digest"
    )?;
    let mut known = Vec::new();
    for one in asked {
        let Some(node) = &one.status else {
            writeln!(told, "{}: no answer", one.peer)?;
            continue;
        };
        known.push(node.node.as_str());
        writeln!(
            told,
            "{:<20} {:<10} {:<12} {:>9} {:>12} {:>9}  {:<13} {}",
            node.node,
            node.version,
            node.state,
            node.clients,
            node.applied.sequence,
            newest.saturating_sub(node.applied.sequence),
            short(&node.applied.digest),
            node.address.as_deref().unwrap_or("-")
        )?;
    }
    let nodes = asked.iter().filter_map(|one| one.status.as_ref());
    for (by, heard) in nodes.flat_map(|node| node.hears.iter().map(move |heard| (node, heard))) {
        if heard.age_ms > FRESH_MS || known.contains(&heard.node.as_str()) {
            continue;
        }
        known.push(&heard.node);
        writeln!(
            told,
            "{:<20} {:<10} {:<12} {:>9} {:>12} {:>9}  {:<13} -",
            heard.node,
            "-",
            format!("by {}", by.node),
            heard.clients,
            heard.applied.sequence,
            newest.saturating_sub(heard.applied.sequence),
            short(&heard.applied.digest),
        )?;
    }
    Ok(())
}

fn short(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::super::{Applied, Heard};
    use super::*;

    fn node(name: &str, sequence: u64, digest: &str) -> Asked {
        Asked {
            peer: format!("http://{name}:8091/"),
            status: Some(NodeStatus {
                node: name.to_owned(),
                state: "ready".to_owned(),
                epoch: "e".to_owned(),
                applied: Applied {
                    sequence,
                    digest: digest.to_owned(),
                },
                ..NodeStatus::default()
            }),
            error: None,
        }
    }

    fn status(asked: &mut Asked) -> &mut NodeStatus {
        asked.status.as_mut().unwrap()
    }

    #[test]
    fn equal_nodes_raise_no_alarm() {
        let nodes = [node("a", 7, "aa"), node("b", 7, "aa"), node("c", 5, "cc")];
        assert_eq!(alarms(&nodes), [""; 0]);
        assert_eq!(alarms(&[node("-", 0, ""), node("-", 0, "")]), [""; 0]);
    }

    #[test]
    fn each_fault_is_named() {
        let check = |nodes: &[Asked], words: &[&str]| {
            let alarms = alarms(nodes);
            assert_eq!(alarms.len(), 1, "{alarms:?}");
            for word in words {
                assert!(alarms[0].contains(word), "{word} is missing in {alarms:?}");
            }
        };
        let differ = [node("a", 7, "aa"), node("b", 7, "bb"), node("c", 7, "aa")];
        check(&differ, &["sequence 7", "a, c aa", "b bb"]);
        check(
            &[node("a", 7, "aa"), node("a", 6, "bb")],
            &["2 nodes", "called a"],
        );
        let mut other = node("b", 6, "bb");
        status(&mut other).epoch = "f".to_owned();
        check(&[node("a", 7, "aa"), other], &["different logs", "e, f"]);
        let mut behind = node("b", 6, "bb");
        status(&mut behind).state = "behind".to_owned();
        check(&[node("a", 7, "aa"), behind], &["b is not ready", "behind"]);
        let silent = Asked {
            status: None,
            error: Some("http://b:8091/ does not answer".to_owned()),
            ..node("b", 0, "")
        };
        check(
            &[node("a", 7, "aa"), silent],
            &["http://b:8091/ does not answer"],
        );
    }

    #[test]
    fn the_table_tells_how_far_each_is_behind() {
        let mut first = node("a", 40, "0123456789abcdef");
        status(&mut first).newest = Some(42);
        let heard = |name: &str, age_ms| Heard {
            node: name.to_owned(),
            age_ms,
            ..Heard::default()
        };
        status(&mut first).hears = vec![heard("b", 100), heard("c", 100), heard("d", 60_000)];
        let silent = Asked {
            status: None,
            ..node("z", 0, "")
        };
        let mut text = Vec::new();
        table(&[first, node("b", 12, "ff"), silent], &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(words.len(), 5, "{text}");
        assert_eq!(
            words[1],
            ["a", "ready", "0", "40", "2", "0123456789ab", "-"]
        );
        assert_eq!(words[2], ["b", "ready", "0", "12", "30", "ff", "-"]);
        assert_eq!(words[3], ["http://z:8091/:", "no", "answer"]);
        assert_eq!(words[4][..4], ["c", "-", "by", "a"]);
    }
}
