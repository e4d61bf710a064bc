//! The nodes of the cluster, as this one knows them.

use std::time::Duration;

use everbeat_axum::log::cluster::status::ClusterStatus;
use leptos::prelude::*;

use crate::admin::words::{Word, Words};

/// How many characters of a digest are shown: two that differ do so in these.
const DIGEST_CHARS: usize = 12;

/// The nodes.
pub(super) fn view(words: Words, cluster: &ClusterStatus) -> AnyView {
    let text = move |word| words.text(word);
    let summary = words.fill(
        Word::NodeSummary,
        &[
            ("node", cluster.node.as_str()),
            ("phase", &cluster.phase.to_string()),
            ("applied", &cluster.applied.to_string()),
            ("last", &cluster.last.to_string()),
        ],
    );
    let trouble = cluster.trouble.as_ref().map(|trouble| {
        let trouble = words.fill(Word::NodeTrouble, &[("why", trouble)]);
        view! { <p class="bad">{trouble}</p> }
    });
    let rows = cluster.nodes.iter().map(|node| {
        let state = if node.is_draining {
            Word::NodeDraining
        } else {
            Word::NodeLive
        };
        let digest: String = node.digest.chars().take(DIGEST_CHARS).collect();
        let heard = words.time(Duration::from_millis(node.heard_ms));
        view! {
            <tr id=format!("node-{}", node.name)>
                <th scope="row">{node.name.to_string()}</th>
                <td>{text(state)}</td>
                <td>{node.applied}</td>
                <td>{cluster.last.saturating_sub(node.applied)}</td>
                <td title=node.digest.clone()>
                    <code>{digest}</code>
                </td>
                <td>{words.fill(Word::Ago, &[("time", &heard)])}</td>
                <td>{node.connections}</td>
                <td>{node.address.clone()}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = [
        Word::Node,
        Word::State,
        Word::Folded,
        Word::Lag,
        Word::Digest,
        Word::Heard,
        Word::Connections,
        Word::Address,
    ];
    let heads = heads.map(|word| view! { <th scope="col">{text(word)}</th> });
    view! {
        <section id="nodes">
            <h2 id="nodes-title">{text(Word::Nodes)}</h2>
            <p>{summary}</p>
            {trouble}
            <div class="scrolled" tabindex="0" role="region" aria-labelledby="nodes-title">
                <table>
                    <thead>
                        <tr>{heads.collect_view()}</tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}
