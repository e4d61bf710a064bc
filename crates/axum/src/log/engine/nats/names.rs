//! The names of one Everbeat at the NATS servers: its streams and its subjects.

use super::super::Topic;
use super::config::NatsConfig;

/// All names of one Everbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The first token of all subjects.
    prefix: String,
    /// The stream of packs.
    pub(super) stream: String,
    /// The stream of what replaced erased packs. It is a stream of its own, so that the sequences of the other one
    /// belong to packs alone.
    pub(super) erased: String,
    /// The subject of packs.
    pub(super) packs: String,
    /// The subject under which the stream's leader publishes each pack again.
    pub(super) live: String,
}

impl Names {
    pub(super) fn new(config: &NatsConfig) -> Self {
        let (prefix, stream) = (config.prefix.clone(), config.stream.name.clone());
        Self {
            erased: format!("{stream}-ERASED"),
            stream,
            packs: format!("{prefix}.c"),
            live: format!("{prefix}.live"),
            prefix,
        }
    }

    /// The subject of what replaced this pack.
    pub(super) fn replacement(&self, sequence: u64) -> String {
        format!("{}.x.{sequence}", self.prefix)
    }

    /// The subjects of all replacements.
    pub(super) fn replacements(&self) -> String {
        format!("{}.x.*", self.prefix)
    }

    /// The subject of a topic. Names of rooms and nodes have no characters that mean something in a subject.
    pub(super) fn topic(&self, topic: &Topic) -> String {
        let prefix = &self.prefix;
        match topic {
            Topic::Nodes => format!("{prefix}.n"),
            Topic::Room(room) => format!("{prefix}.p.{room}"),
            Topic::Node(node) => format!("{prefix}.q.{node}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::{NodeName, RoomName};

    use super::*;

    /// Each subject has one meaning, whatever rooms and nodes are called.
    #[test]
    fn subjects_are_told_apart() {
        let names = Names::new(&NatsConfig::new(Vec::new()));
        let subjects = [
            names.packs.clone(),
            names.live.clone(),
            names.replacement(7),
            names.topic(&Topic::Nodes),
            names.topic(&Topic::Room(RoomName::new("n").unwrap())),
            names.topic(&Topic::Node(NodeName::new("n").unwrap())),
        ];
        let expected = ["eb.c", "eb.live", "eb.x.7", "eb.n", "eb.p.n", "eb.q.n"];
        assert_eq!(subjects, expected);
        for name in ["a.b", "*", ">", "a b", ""] {
            assert!(RoomName::new(name).is_err() && NodeName::new(name).is_err());
        }
    }
}
