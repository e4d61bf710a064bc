use protocol::frame::Message;
use protocol::id::{Generation, Name, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};

use super::*;
use crate::command::{Append, Command, OpenSession, Post, Redact, Refuse, Settings, Trim};
use crate::memory::MemoryStore;

const FIRST_LIFE: Life = Life { count: 1, nonce: 9 };
const SECOND_LIFE: Life = Life { count: 2, nonce: 3 };

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn session() -> SessionId {
    SessionId::new("ada").unwrap()
}

fn pack(name: &str, life: &Life, number: u64, commands: Vec<Command>) -> Pack {
    Pack {
        node: node(name),
        life: life.clone(),
        number,
        at_ms: 5,
        commands,
    }
}

fn settings() -> Command {
    Command::Settings(Settings {
        epoch: Epoch::new("e1"),
        history_per_room: 100,
    })
}

fn open() -> Command {
    Command::Open(OpenSession {
        resume: None,
        fresh: (session(), [7; 32]),
        at_ms: 1,
    })
}

fn append(seq: u64, body: &str) -> Command {
    Command::Append(Append {
        session: session(),
        generation: Generation(1),
        seq: Seq::new(seq).unwrap(),
        room: RoomName::lobby(),
        name: Name::tidy("Ada"),
        body: body.into(),
        at_ms: 4,
        is_repeat: false,
        erased: None,
    })
}

fn post(body: &str) -> Command {
    Command::Post(Post {
        key: [3; 32],
        session: SessionId::new("post").unwrap(),
        room: RoomName::lobby(),
        name: Name::tidy("Bot"),
        body: body.into(),
        at_ms: 6,
        erased: None,
    })
}

/// Folds packs one after the other; their verdicts.
fn fold(store: &mut MemoryStore, packs: Vec<Pack>) -> Vec<Verdict> {
    let fold_one = |pack| {
        let next = store.applied().unwrap().sequence + 1;
        fold_pack(store, next, pack, &mut Changes::default()).unwrap()
    };
    packs.into_iter().map(fold_one).collect()
}

fn bodies(store: &MemoryStore) -> Vec<&str> {
    let lobby = RoomName::lobby();
    let messages = store.messages(&lobby);
    messages.map(|message: &Message| &*message.body).collect()
}

fn applied(offset: u64) -> Verdict {
    let offset = Offset::new(offset).unwrap();
    Verdict::Applied(vec![Ok(Outcome::Appended(offset))])
}

#[test]
fn each_number_of_a_life_is_applied_once_and_in_order() {
    let mut store = MemoryStore::new();
    let send = |number, body| pack("a", &FIRST_LIFE, number, vec![append(number - 1, body)]);
    let packs = vec![
        pack("a", &FIRST_LIFE, 2, vec![append(1, "early")]),
        pack("a", &FIRST_LIFE, 1, vec![settings(), open()]),
        send(3, "overtakes"),
        send(2, "one"),
        send(2, "one"),
        send(3, "two"),
        pack("a", &FIRST_LIFE, 1, vec![settings(), open()]),
        pack("a", &FIRST_LIFE, 0, vec![append(3, "no number")]),
    ];
    let verdicts = fold(&mut store, packs);
    assert!(matches!(&verdicts[1], Verdict::Applied(results) if results.len() == 2));
    assert_eq!([&verdicts[0], &verdicts[2]], [&Verdict::Gap; 2]);
    assert_eq!(verdicts[3], applied(1));
    assert_eq!(verdicts[4], Verdict::Repeat);
    assert_eq!(verdicts[5], applied(2));
    assert_eq!([&verdicts[6], &verdicts[7]], [&Verdict::Repeat; 2]);
    assert_eq!(bodies(&store), ["one", "two"]);
    assert_eq!(store.applied().unwrap().sequence, 8);
}

#[test]
fn each_node_has_numbers_of_its_own() {
    let mut store = MemoryStore::new();
    let packs = vec![
        pack("a", &FIRST_LIFE, 1, vec![settings(), open()]),
        pack("b", &FIRST_LIFE, 1, vec![append(1, "of b")]),
        pack("a", &FIRST_LIFE, 2, vec![append(2, "of a")]),
    ];
    fold(&mut store, packs);
    assert_eq!(bodies(&store), ["of b", "of a"]);
    let last = |number| {
        Some(LastPack {
            life: FIRST_LIFE,
            number,
        })
    };
    assert_eq!(store.last_pack(&node("a")), Ok(last(2)));
    assert_eq!(store.last_pack(&node("b")), Ok(last(1)));
    assert_eq!(store.last_pack(&node("c")), Ok(None));
}

/// A process that was given up, and comes back, changes nothing any more.
#[test]
fn a_later_life_fences_the_earlier_ones() {
    let mut store = MemoryStore::new();
    let rival = Life { count: 2, nonce: 4 };
    let packs = vec![
        pack("a", &FIRST_LIFE, 1, vec![settings(), open()]),
        // A gap does not fence: only what is applied does.
        pack("a", &SECOND_LIFE, 2, vec![append(9, "gap")]),
        pack("a", &FIRST_LIFE, 2, vec![append(1, "first life")]),
        pack("a", &SECOND_LIFE, 1, vec![append(2, "second life")]),
        pack("a", &FIRST_LIFE, 3, vec![append(3, "zombie")]),
        pack("a", &rival, 1, vec![append(3, "rival")]),
        pack("a", &SECOND_LIFE, 2, vec![append(4, "fenced by its rival")]),
    ];
    let verdicts = fold(&mut store, packs);
    let fenced: Vec<_> = verdicts.iter().map(|v| *v == Verdict::Fenced).collect();
    assert_eq!(fenced, [false, false, false, false, true, false, true]);
    assert_eq!(verdicts[1], Verdict::Gap);
    assert_eq!(bodies(&store), ["first life", "second life", "rival"]);
}

#[test]
fn a_sequence_that_is_not_the_next_one_is_refused() {
    let mut store = MemoryStore::new();
    let first = || pack("a", &FIRST_LIFE, 1, vec![settings()]);
    fold(&mut store, vec![first()]);
    let before = store.applied();
    for sequence in [0, 1, 3, u64::MAX] {
        let refused = fold_pack(&mut store, sequence, first(), &mut Changes::default());
        let error = FoldError::Sequence {
            applied: 1,
            sequence,
        };
        assert_eq!(refused, Err(error));
    }
    assert_eq!(store.applied(), before);
}

/// EO-8: an erased pack counts as the pack that it was.
#[test]
fn an_erased_pack_gives_the_same_digest_and_the_same_state() {
    let whole = || {
        let commands = vec![append(1, "secret"), append(2, "stays"), post("told")];
        pack("a", &FIRST_LIFE, 2, commands)
    };
    let redact = |offset| {
        Command::Redact(Redact {
            room: RoomName::lobby(),
            offset: Offset::new(offset).unwrap(),
            at_ms: 8,
        })
    };
    let run = |second: Pack| {
        let mut store = MemoryStore::new();
        let first = pack("a", &FIRST_LIFE, 1, vec![settings(), open()]);
        fold(&mut store, vec![first, second]);
        let after_second = store.applied().unwrap();
        // The repeats find the texts' hashes.
        let last = vec![
            redact(1),
            redact(3),
            append(1, "secret"),
            append(1, "other"),
            post("told"),
        ];
        let verdicts = fold(&mut store, vec![pack("a", &FIRST_LIFE, 3, last)]);
        (after_second, verdicts, store)
    };
    let mut erased = whole();
    assert!(erased.erase(&session(), Seq::FIRST));
    assert!(erased.erase(&SessionId::new("post").unwrap(), Seq::FIRST));
    assert!(!erased.erase(&session(), Seq::FIRST));
    assert!(!erased.erase(&session(), Seq::new(3).unwrap()));
    let encoded = String::from_utf8(erased.encode().unwrap()).unwrap();
    assert!(!encoded.contains("secret") && !encoded.contains("told"));
    assert!(encoded.contains("stays"));
    let (one, other) = (run(whole()), run(erased));
    assert_eq!(one.0, other.0);
    assert_eq!(one.1, other.1);
    assert_eq!(one.2, other.2);
    assert_eq!(bodies(&other.2), ["", "stays", ""]);
}

/// The digest is stored, and compared with that of nodes of other versions: this value may never change.
#[test]
fn the_digest_is_pinned() {
    let mut store = MemoryStore::new();
    let refuse = |seq| {
        Command::Refuse(Refuse {
            session: session(),
            generation: Generation(1),
            seq: Seq::new(seq).unwrap(),
            code: ErrorCode::BodyEmpty,
        })
    };
    let trim = Command::Trim(Trim {
        before_ms: 5,
        after: None,
    });
    let resume = Command::Open(OpenSession {
        resume: Some((session(), vec![[7; 32]])),
        fresh: (SessionId::new("unused").unwrap(), [8; 32]),
        at_ms: 9,
    });
    let everything = vec![
        append(1, "x"),
        refuse(2),
        append(2, "y"),
        append(7, "z"),
        post("p"),
        trim,
        resume,
        append(3, "of an earlier opening"),
        open(),
        Command::Redact(Redact {
            room: RoomName::lobby(),
            offset: Offset::new(2).unwrap(),
            at_ms: 8,
        }),
    ];
    let packs = vec![
        pack("a", &FIRST_LIFE, 1, vec![settings(), open()]),
        pack("b", &SECOND_LIFE, 1, everything),
        pack("b", &SECOND_LIFE, 1, Vec::new()),
        pack("b", &SECOND_LIFE, 3, Vec::new()),
        pack("b", &FIRST_LIFE, 2, Vec::new()),
    ];
    let verdicts = fold(&mut store, packs);
    let kinds = [Verdict::Repeat, Verdict::Gap, Verdict::Fenced];
    assert_eq!(verdicts[2..], kinds);
    let digest = store.applied().unwrap().digest;
    assert_eq!(
        digest.to_string(),
        "b6cf3e646409f88a8ae7c1b67342edeced6c7888693f3f4f9cfdd0400502005d"
    );
    assert_eq!(
        store.applied().unwrap().pack.to_string(),
        "409403638c3c5e7f3eef16894998bf09e496a838b27722ab37f81573913821f7"
    );
}

/// Each part of the input counts.
#[test]
fn different_histories_have_different_digests() {
    let digest = |name, life: &Life, first: Vec<Command>, second: Vec<Command>| {
        let mut store = MemoryStore::new();
        let packs = vec![pack(name, life, 1, first), pack(name, life, 2, second)];
        fold(&mut store, packs);
        store.applied().unwrap().digest
    };
    let both = || vec![settings(), open()];
    let digests = [
        digest("a", &FIRST_LIFE, both(), vec![append(1, "x")]),
        digest("b", &FIRST_LIFE, both(), vec![append(1, "x")]),
        digest("a", &SECOND_LIFE, both(), vec![append(1, "x")]),
        digest("a", &FIRST_LIFE, both(), vec![append(2, "x")]),
        digest(
            "a",
            &FIRST_LIFE,
            both(),
            vec![append(1, "x"), append(2, "x")],
        ),
        digest("a", &FIRST_LIFE, vec![open()], vec![append(1, "x")]),
    ];
    let different: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
}

#[test]
fn a_digest_travels_as_hexadecimal() {
    let digest = Digest(std::array::from_fn(|at| u8::try_from(at).unwrap()));
    let text = serde_json::to_string(&digest).unwrap();
    assert!(text.starts_with("\"000102") && text.len() == 66, "{text}");
    assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
    let short = text.replace("00", "");
    let upper = text.replace("0a", "0A");
    let signed = text.replace("01", "+1");
    for wrong in [&*short, &*upper, &*signed, "\"\"", "7", "\"é\""] {
        assert!(serde_json::from_str::<Digest>(wrong).is_err(), "{wrong}");
    }
}
