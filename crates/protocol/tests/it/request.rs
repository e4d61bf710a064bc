//! The machine of one request over HTTP (docs/api.md).

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::access::{Access, Grants, Identity, Naming};
use everbeat_protocol::frame::{ErrorCode, Member, Message};
use everbeat_protocol::id::{Name, Seq, SessionId};
use everbeat_protocol::position::Epoch;
use everbeat_protocol::server::{
    Call, Config, FeedConfig, MessagePage, PostError, PostKey, Posted, Redaction, Request,
    RequestAnswer, RequestError, RequestInput, RequestTransmit, Span, Transmit, Which,
};

use crate::access::{ada, errors, in_lobby, subject, with_grants};
use crate::solo::{at, lobby, millis, offset, publish, removed, secs};

const KEY: PostKey = [7; 32];

/// A request in progress.
struct Desk {
    request: Request,
    next: Option<RequestTransmit>,
}

impl Desk {
    fn new(access: &Access, call: Call) -> Self {
        Self::with(Config::default(), access, call)
    }

    fn with(config: Config, access: &Access, call: Call) -> Self {
        let mut request = Request::new(at(1_000), access, call, config);
        let next = request.poll_transmit();
        assert_eq!(request.poll_transmit(), None, "one thing at a time");
        Self { request, next }
    }

    fn input(mut self, input: RequestInput) -> Self {
        self.request.handle_input(input);
        self.next = self.request.poll_transmit();
        assert_eq!(self.request.poll_transmit(), None, "one thing at a time");
        self
    }

    /// Passes the barrier of a read.
    #[track_caller]
    fn reached(self, is_reached: bool) -> Self {
        let desk = self.asks(RequestTransmit::Barrier { within: secs(2) });
        desk.input(RequestInput::Reached(is_reached))
    }

    #[track_caller]
    fn asks(self, transmit: RequestTransmit) -> Self {
        assert_eq!(self.next, Some(transmit));
        self
    }

    #[track_caller]
    fn answers(self, answer: RequestAnswer) {
        self.ends(RequestTransmit::Answer(answer));
    }

    #[track_caller]
    fn refuses(self, error: impl Into<RequestError>) {
        self.ends(RequestTransmit::Refuse(error.into()));
    }

    /// Checks that nothing follows this output, whatever comes.
    #[track_caller]
    fn ends(self, transmit: RequestTransmit) {
        let mut over = self.asks(transmit);
        for input in [
            RequestInput::Counted(Ok(())),
            RequestInput::Reached(true),
            RequestInput::LogSpan(Some(span())),
            RequestInput::Redacted(Some(Redaction::Done)),
            RequestInput::Scrubbed(true),
        ] {
            over = over.input(input);
            assert_eq!(over.next, None);
        }
    }
}

fn fresh() -> SessionId {
    SessionId::new("fresh").unwrap()
}

fn say(body: &str) -> Call {
    Call::Publish {
        room: lobby(),
        key: KEY,
        session: fresh(),
        name: None,
        body: body.to_owned(),
    }
}

fn post(name: &str, body: &str) -> RequestTransmit {
    RequestTransmit::Post {
        room: lobby(),
        key: KEY,
        session: fresh(),
        name: Name::tidy(name),
        body: body.to_owned(),
    }
}

/// A log with messages 11 to 100.
fn span() -> Span {
    Span {
        epoch: Epoch::new("e"),
        head: offset(100),
        trimmed: offset(10),
    }
}

fn messages(from: u64, to: u64) -> Vec<Message> {
    let message = |number| Message {
        removed: false,
        ..removed(number)
    };
    (from..=to).map(message).collect()
}

fn unavailable() -> RequestError {
    RequestError::Later(ErrorCode::Unavailable, secs(2))
}

/// AC-4, EO-1, EO-2: a message is counted, then posted under the name that its author may have; if it is durable, also
/// from before, its offset is the answer.
#[test]
fn a_message_is_counted_then_posted() {
    for is_repeat in [false, true] {
        let posted = Posted {
            epoch: Epoch::new("e"),
            offset: offset(7),
            is_repeat,
        };
        let desk = Desk::new(&ada(secs(600)), say("hello")).asks(RequestTransmit::Count);
        let desk = desk.input(RequestInput::Counted(Ok(())));
        let desk = desk.asks(post("Ada", "hello"));
        let desk = desk.input(RequestInput::Posted(Ok(posted.clone())));
        desk.answers(RequestAnswer::Published(posted));
    }
    let guest = Access {
        naming: Naming::Own {
            usual: None,
            is_marked: true,
        },
        ..Access::ANYBODY
    };
    for (wish, name) in [(Some("Bob"), "Bob (guest)"), (None, "guest fres")] {
        let call = Call::Publish {
            room: lobby(),
            key: KEY,
            session: fresh(),
            name: wish.map(Name::tidy),
            body: "hello".to_owned(),
        };
        let desk = Desk::new(&guest, call).input(RequestInput::Counted(Ok(())));
        desk.asks(post(name, "hello"));
    }
}

/// EO-6, EO-7: over a rate, and if the log cannot answer, a message is refused for now; another one under its key for
/// good.
#[test]
fn a_post_fails_for_now_or_for_good() {
    let counted = |counted| {
        let desk = Desk::new(&ada(secs(600)), say("hello"));
        desk.input(RequestInput::Counted(counted))
    };
    let later = RequestError::Later(ErrorCode::RateLimited, millis(300));
    counted(Err(millis(300))).refuses(later);
    let posted = |error| counted(Ok(())).input(RequestInput::Posted(Err(error)));
    posted(PostError::Conflict).refuses(RequestError::KeyReused);
    posted(PostError::Unavailable).refuses(unavailable());
    posted(PostError::Unknown).refuses(RequestError::OutcomeUnknown(secs(2)));
}

/// AC-5, EO-7: a request is refused for the same reasons as a frame, with the same codes; and it is not counted.
#[test]
fn a_frame_and_a_request_are_refused_alike() {
    let limit = Config::default().limits.body_bytes as usize;
    let checks = [
        ("*=rw", String::new(), Some(ErrorCode::BodyEmpty)),
        ("*=rw", "x".repeat(limit), None),
        ("*=rw", "x".repeat(limit + 1), Some(ErrorCode::BodyTooLarge)),
        (
            "lobby=r,other=rw",
            "x".to_owned(),
            Some(ErrorCode::WriteDenied),
        ),
        ("lobby=r", String::new(), Some(ErrorCode::WriteDenied)),
        (
            "lobby=r",
            "x".repeat(limit + 1),
            Some(ErrorCode::WriteDenied),
        ),
    ];
    for (grants, body, refused) in checks {
        let access = with_grants(grants);
        let mut session = in_lobby(access.clone());
        session.transmits.clear();
        session.frame(publish(1, &body));
        let request = Desk::new(&access, say(&body));
        match refused {
            Some(code) => {
                let seq = Seq::FIRST;
                assert_eq!(session.transmits, [Transmit::Refuse { seq, code }]);
                request.refuses(code);
            }
            None => {
                let is_appended = matches!(session.transmits[..], [Transmit::Append { .. }]);
                assert!(is_appended, "{grants}");
                request.asks(RequestTransmit::Count);
            }
        }
        assert_eq!(errors(&session), []);
    }
}

/// AC-5: a client that may not read a room learns nothing of it: neither messages, nor members, nor later messages.
#[test]
fn a_room_is_read_by_who_may_read_it() {
    let calls = || {
        [
            Call::Read {
                room: lobby(),
                which: Which::default(),
            },
            Call::Presence { room: lobby() },
            Call::Follow {
                room: lobby(),
                since: None,
            },
        ]
    };
    for call in calls() {
        Desk::new(&with_grants("lobby=w,other=rw"), call).refuses(ErrorCode::ReadDenied);
    }
    for call in calls() {
        let desk = Desk::new(&with_grants("lobby=r"), call);
        assert!(!matches!(desk.next, Some(RequestTransmit::Refuse(_))));
    }
}

/// RS-5, RS-6: messages are read after the client's position; if the log no longer reaches back to it, that is a gap,
/// and the newest are read instead.
#[test]
fn messages_are_read_from_where_the_caller_is() {
    let page = |which: Which, after: Option<u64>, read: Vec<Message>| {
        let room = lobby();
        let desk = Desk::new(&ada(secs(600)), Call::Read { room, which }).reached(true);
        let desk = desk.asks(RequestTransmit::LogSpan { room: lobby() });
        let desk = desk.input(RequestInput::LogSpan(Some(span())));
        let (room, limit) = (lobby(), 50);
        let desk = match after.map(offset) {
            Some(after) => desk.asks(RequestTransmit::Read { room, after, limit }),
            None => {
                let before = offset(101);
                desk.asks(RequestTransmit::ReadBefore {
                    room,
                    before,
                    limit,
                })
            }
        };
        let desk = desk.input(RequestInput::PageRead(Some((read, true))));
        match desk.next {
            Some(RequestTransmit::Answer(RequestAnswer::Messages(page))) => page,
            other => panic!("{other:?}"),
        }
    };
    let which = |after: Option<u64>, before: Option<u64>, epoch: Option<&str>| Which {
        after: after.map(offset),
        before: before.map(offset),
        epoch: epoch.map(Epoch::new),
        limit: None,
    };
    let newest = page(which(None, None, None), None, messages(51, 100));
    let expected = MessagePage {
        epoch: Epoch::new("e"),
        head: offset(100),
        gap: false,
        more: true,
        messages: messages(51, 100),
    };
    assert_eq!(newest, expected);
    // The request, the offset after which it is read, what the log gives, and whether there is a gap, or more.
    let checks = [
        (which(Some(90), None, None), 90, (91, 100), false, false),
        (
            which(Some(90), None, Some("e")),
            90,
            (91, 100),
            false,
            false,
        ),
        (which(Some(20), None, None), 20, (21, 70), false, true),
        (which(Some(20), Some(31), None), 20, (21, 70), false, false),
        (which(Some(100), None, None), 100, (1, 0), false, false),
        (which(Some(10), None, None), 10, (11, 60), false, true),
        (which(Some(9), None, None), 50, (51, 100), true, false),
        (which(Some(101), None, None), 50, (51, 100), true, false),
        (which(Some(90), None, Some("f")), 50, (51, 100), true, false),
        // Some were trimmed after the log said what it holds.
        (which(Some(20), None, None), 20, (31, 80), true, true),
    ];
    for (which, after, (first, last), gap, more) in checks {
        let page = page(which.clone(), Some(after), messages(first, last));
        assert_eq!((page.gap, page.more), (gap, more), "{which:?}");
        let end = which.before.unwrap_or_else(|| offset(101));
        assert!(page.messages.iter().all(|m| m.offset < end), "{which:?}");
    }
}

/// RS-5: a page is cut to the server's limit; and if the log cannot answer, the client asks again.
#[test]
fn a_page_is_cut_and_may_fail() {
    let mut config = Config::default();
    config.limits.history = 20;
    let read = |limit, before: Option<u64>| {
        let which = Which {
            limit,
            before: before.map(offset),
            ..Which::default()
        };
        let room = lobby();
        let desk = Desk::with(config, &ada(secs(600)), Call::Read { room, which });
        desk.reached(true)
            .input(RequestInput::LogSpan(Some(span())))
    };
    for (wish, limit) in [(None, 20), (Some(5), 5), (Some(u32::MAX), 20), (Some(0), 1)] {
        let (room, before) = (lobby(), offset(40));
        read(wish, Some(40)).asks(RequestTransmit::ReadBefore {
            room,
            before,
            limit,
        });
    }
    let failed = read(None, None).input(RequestInput::PageRead(None));
    failed.refuses(unavailable());
    let room = lobby();
    let which = Which::default();
    let desk = Desk::new(&ada(secs(600)), Call::Read { room, which });
    desk.reached(true)
        .input(RequestInput::LogSpan(None))
        .refuses(unavailable());
}

/// EO-8, AC-5: only the right to moderate redacts. Guests never have it: they are asked for a token where the server
/// takes tokens.
#[test]
fn only_moderators_remove() {
    let remove = || Call::Redact {
        room: lobby(),
        offset: offset(3),
    };
    let guest = Access {
        identity: Identity::Guest(Some(subject("mod"))),
        ..moderator()
    };
    let config = Config {
        takes_tokens: true,
        ..Config::default()
    };
    for guest in [&guest, &Access::ANYBODY] {
        Desk::with(config, guest, remove()).refuses(ErrorCode::TokenRequired);
    }
    for access in [with_grants("*=rw"), ada(secs(600)), Access::ANYBODY] {
        Desk::new(&access, remove()).refuses(RequestError::ModerateDenied);
    }
    let (room, number) = (lobby(), offset(3));
    Desk::with(config, &moderator(), remove()).asks(RequestTransmit::Redact {
        room,
        offset: number,
    });
}

/// EO-8: a redacted text, now or before, has yet to leave the log's files: the answer waits for that for a while.
#[test]
fn a_removal_waits_for_the_files() {
    let removed = |removal| {
        let (room, offset) = (lobby(), offset(3));
        let desk = Desk::new(&moderator(), Call::Redact { room, offset });
        desk.input(RequestInput::Redacted(removal))
    };
    for removal in [Redaction::Done, Redaction::Before] {
        for is_scrubbed in [true, false] {
            let desk = removed(Some(removal)).asks(RequestTransmit::Scrub { within: secs(2) });
            let desk = desk.input(RequestInput::Scrubbed(is_scrubbed));
            desk.answers(RequestAnswer::Redacted { is_scrubbed });
        }
    }
    removed(Some(Redaction::Missing)).refuses(RequestError::NoMessage(offset(3)));
    removed(None).refuses(unavailable());
}

/// PR-1: a client that asks gets the members, and is not one itself.
#[test]
fn members_are_looked_up() {
    let desk = Desk::new(&Access::ANYBODY, Call::Presence { room: lobby() });
    let desk = desk.reached(true);
    let desk = desk.asks(RequestTransmit::Members { room: lobby() });
    let members = vec![Member::new(fresh(), Name::tidy("Ada"))];
    let desk = desk.input(RequestInput::Members(members.clone(), 7));
    let count = 7;
    desk.answers(RequestAnswer::Presence { members, count });
}

/// RS-6: a node that cannot find out whether it is behind goes on reading; only a caller that has more already is asked
/// to come again, as what it has is no gap.
#[test]
fn a_node_that_may_be_behind_reads_on() {
    let read = |after: u64, epoch: &str, is_reached| {
        let which = Which {
            after: Some(offset(after)),
            epoch: Some(Epoch::new(epoch)),
            ..Which::default()
        };
        let room = lobby();
        let desk = Desk::new(&ada(secs(600)), Call::Read { room, which }).reached(is_reached);
        desk.input(RequestInput::LogSpan(Some(span())))
    };
    for (after, epoch, is_reached) in [(100, "e", false), (101, "e", true), (101, "f", false)] {
        let next = read(after, epoch, is_reached).next;
        assert!(
            matches!(next, Some(RequestTransmit::Read { .. })),
            "{next:?}"
        );
    }
    read(101, "e", false).refuses(unavailable());
    let since = None;
    let room = lobby();
    let desk = Desk::new(&Access::ANYBODY, Call::Follow { room, since }).reached(false);
    match desk.next {
        Some(RequestTransmit::Answer(RequestAnswer::Feed(config))) => assert!(config.behind),
        other => panic!("{other:?}"),
    }
}

/// AC-2: a listener is served as long as a session would be: to the end of the token's grace period.
#[test]
fn a_listener_is_served_as_long_as_a_session() {
    let follow = |access: &Access| {
        let (room, since) = (lobby(), None);
        let desk = Desk::new(access, Call::Follow { room, since });
        match desk.reached(true).next {
            Some(RequestTransmit::Answer(RequestAnswer::Feed(config))) => config,
            other => panic!("{other:?}"),
        }
    };
    let expected = FeedConfig {
        since: None,
        behind: false,
        ends: Some(at(631_000)),
        open_by: at(10_000),
        unavailable_retry: secs(2),
    };
    assert_eq!(follow(&ada(secs(600))), expected);
    assert_eq!(follow(&Access::ANYBODY).ends, None);
}

/// PU-3: an answer that was not asked for changes nothing.
#[test]
fn answers_to_nothing_are_ignored() {
    let mut desk = Desk::new(&ada(secs(600)), say("hello"));
    for input in [
        RequestInput::Posted(Err(PostError::Conflict)),
        RequestInput::Reached(true),
        RequestInput::LogSpan(None),
        RequestInput::PageRead(None),
        RequestInput::Redacted(None),
        RequestInput::Scrubbed(false),
        RequestInput::Members(Vec::new(), 0),
    ] {
        desk = desk.input(input);
        assert_eq!(desk.next, None);
    }
    let desk = desk.input(RequestInput::Counted(Ok(())));
    desk.asks(post("Ada", "hello"));
}

fn moderator() -> Access {
    let json = r#"{"lobby": ["read", "write", "moderate"]}"#;
    Access {
        rights: serde_json::from_str::<Grants>(json).unwrap().into(),
        ..ada(secs(600))
    }
}
