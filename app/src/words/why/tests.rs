use protocol::client::{Cause, Event, Status};
use protocol::close::CloseCode;
use protocol::time::Timestamp;
use view::Report;

use super::*;
use crate::words::Language;

const EN: Words = Words::of(Language::En);
const HANT: Words = Words::of(Language::ZhHant);
const HANS: Words = Words::of(Language::ZhHans);

fn link(reports: &[Report]) -> Link {
    let mut link = Link::default();
    for report in reports {
        link.fold(report);
    }
    link
}

const fn status(status: Status) -> Report {
    Report::Status {
        status,
        retry_in: None,
    }
}

fn waiting(cause: Cause, attempt: u32, ms: u64, ceiling_ms: Option<u64>) -> Report {
    Report::Status {
        status: Status::Waiting {
            until: Timestamp::ZERO,
            cause,
            attempt,
            offline: false,
            ceiling: ceiling_ms.map(Duration::from_millis),
        },
        retry_in: Some(Duration::from_millis(ms)),
    }
}

const fn brought(recovery: Recovery) -> Report {
    Report::Event(Event::Recovered(recovery))
}

#[test]
fn a_wait_says_why_and_what_it_was_drawn_from() {
    let lost = waiting(Cause::NoAnswer, 4, 1_640, Some(2_000));
    let mut link = link(&[status(Status::Live), lost]);
    assert_eq!(
        why(&link, EN),
        "The server stopped answering. Try 4 after 1.6 s, drawn from up to 2 s."
    );
    assert_eq!(
        why(&link, HANT),
        "伺服器不再回應。1.6 秒後第 4 次嘗試（在 2 秒以內隨機抽出）。"
    );
    assert_eq!(
        why(&link, HANS),
        "服务器不再回应。1.6 秒后第 4 次尝试（在 2 秒以内随机抽出）。"
    );
    link.fold(&status(Status::Connecting));
    assert_eq!(why(&link, EN), "The server stopped answering. Try 4.");
    link.fold(&waiting(Cause::Closed(None), 1, 87, Some(250)));
    assert_eq!(
        why(&link, EN),
        "The server cannot be reached. Try 1 after 87 ms, drawn from up to 250 ms."
    );
}

#[test]
fn a_slot_is_no_try_that_failed() {
    let link = link(&[status(Status::Live), waiting(Cause::GoAway, 0, 9_000, None)]);
    assert_eq!(
        why(&link, EN),
        "The server is restarting. It gave this page a turn of its own."
    );
    assert_eq!(
        why(&link, HANT),
        "伺服器正在重新啟動。它替這一頁排好了重新連線的時間。"
    );
}

#[test]
fn a_return_says_what_it_brought_and_does_not_pretend() {
    let mut recovery = Recovery {
        sent_again: 2,
        caught_up: 3,
        ..Recovery::NONE
    };
    let said = |recovery, words| why(&link(&[status(Status::Live), brought(recovery)]), words);
    assert_eq!(
        said(recovery, EN),
        "Resumed: 2 sent again, 3 caught up, 0 lost"
    );
    assert_eq!(
        said(recovery, HANT),
        "已接續：重送 2 則、補收 3 則、遺失 0 則"
    );
    assert_eq!(
        said(recovery, HANS),
        "已接续：重发 2 条、补收 3 条、丢失 0 条"
    );
    assert_eq!(said(Recovery::NONE, EN), "Resumed: 0 lost");
    recovery.gaps = 1;
    recovery.uncertain = 2;
    recovery.resumed = false;
    assert_eq!(
        said(recovery, EN),
        "Back in a new session: 2 sent again, 3 caught up, 2 uncertain, rooms with a gap: 1"
    );
}

#[test]
fn an_outage_is_announced_in_sentences() {
    let mut link = link(&[
        status(Status::Live),
        waiting(Cause::Closed(None), 1, 2_000, Some(2_000)),
    ]);
    assert_eq!(notice(&link, EN), "");
    link.tick();
    assert_eq!(
        notice(&link, EN),
        "Connection lost. The connection broke off. Trying again."
    );
    assert_eq!(notice(&link, HANT), "斷線了。連線突然中斷。正在重試。");
    link.fold(&status(Status::Live));
    link.fold(&brought(Recovery::NONE));
    assert_eq!(notice(&link, EN), "Live again. Resumed: 0 lost");
    let cause = Cause::Closed(Some(CloseCode::DISCONNECTED));
    link.fold(&status(Status::Stopped { cause }));
    assert_eq!(
        notice(&link, EN),
        "An operator ended this session. “Try now” brings you back."
    );
}

/// The button is named as it is named.
#[test]
fn what_to_press_is_there() {
    for words in [EN, HANT, HANS] {
        let said = trouble(Trouble::Ended, words);
        assert!(said.contains(words.text(Word::TryNow)), "{said}");
    }
}

#[test]
fn a_pause_says_how_long() {
    let paused = |code| {
        let wait = Duration::from_millis(3_200);
        let paused = Report::Event(Event::Paused { code, wait });
        why(&link(&[status(Status::Live), paused]), EN)
    };
    assert_eq!(
        paused(ErrorCode::RateLimited),
        "Too many at once: your messages go on, the last in 4 s."
    );
    assert_eq!(
        paused(ErrorCode::Unavailable),
        "The server cannot store messages now: yours go on in 4 s."
    );
}
