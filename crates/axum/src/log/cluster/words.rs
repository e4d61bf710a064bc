//! The words for the operator when a node stops for good: what is wrong, and what to do.

use std::collections::BTreeSet;

use everbeat_log::follower::Mismatch;
use everbeat_log::pack::PackError;
use protocol::id::NodeName;

use crate::log::LogError;

/// The engine dropped packs that this node needs.
pub(super) fn behind(next: u64, first: u64) -> String {
    format!(
        "this node needs pack {next}, and the engine's stream begins with pack {first}: give the node a copy of another \
         node's log, then start it again"
    )
}

/// The engine has another history than this node.
pub(super) fn other_stream(mismatch: &Mismatch) -> String {
    let what = match mismatch {
        Mismatch::Id { known, found } => {
            format!("the engine's stream is {found}, and this node's log comes from {known}")
        }
        Mismatch::Short { last } => format!(
            "the engine's stream ends with pack {last}, and this node has folded more: the stream lost its end"
        ),
        Mismatch::Pack { sequence } => format!(
            "the engine's stream holds another pack {sequence} than the one that this node has folded"
        ),
    };
    format!(
        "{what}. If the options name the right stream, one of them is lost: docs/operations/cluster.md says how to restore \
         it under a new epoch"
    )
}

/// A pack that this program cannot read.
pub(super) fn unreadable(sequence: u64, error: &PackError) -> String {
    format!("pack {sequence} of the engine's stream: {error}")
}

/// Other nodes came to another log.
pub(super) fn diverged(sequence: u64, different: &BTreeSet<NodeName>) -> String {
    let names: Vec<_> = different.iter().map(NodeName::as_str).collect();
    format!(
        "this node's log differs from that of {} at pack {sequence}, though both folded the same packs, and no majority of \
         the nodes agrees with this one: give it a copy of another node's log (docs/operations/cluster.md)",
        names.join(", ")
    )
}

/// Another process has this node's name.
pub(super) fn fenced(node: &NodeName) -> String {
    format!(
        "another process began with the name of this node, {node}, and goes on in its place: give each node a name of its \
         own (--node)"
    )
}

/// A pack was folded, with unknown results.
pub(super) fn answer_lost(sequence: u64, error: &LogError) -> String {
    format!("pack {sequence} was folded, but its results are lost ({error}): start this node again")
}

/// The database does not answer.
pub(super) fn cannot_read(error: &LogError) -> String {
    format!("this node's database does not answer ({error}): mend it, then start this node again")
}
