//! A chat in a terminal: it shows one room, and publishes each line of its input there.
//!
//! The session is kept in a file. So a line that was shown is in the room once, however the server or this program end.
//! `/older` loads older messages; `/again` sends, and `/drop` drops, what waits for a decision.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use everbeat_client::protocol::id::{Name, RoomName};
use everbeat_client::view::{Link, RoomView, Row};
use everbeat_client::{Client, FileStorage, Options};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, room, name, file] = &arguments[..] else {
        return Err("usage: terminal ws://127.0.0.1:8080/ws lobby NAME FILE".into());
    };
    let (typed, mut lines) = mpsc::channel(16);
    // No read of standard input can be cancelled: a thread waits for it.
    std::thread::spawn(move || {
        let lines = io::stdin().lines().map_while(Result::ok);
        lines.map_while(|it| typed.blocking_send(it).ok()).last()
    });
    let options = Options::new(std::process::id().into()).storage(FileStorage::open(file)?);
    let mut client = everbeat_client::connect(url, options)?;
    client.rename(Name::tidy(name));
    client.join(RoomName::new(room)?, None);
    let mut view = client.view(RoomName::new(room)?);
    let (mut link, mut shown) = (Link::default(), String::new());
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        let picture = draw(&view, &link);
        if picture != shown {
            let clear = io::stdout().is_terminal().then_some("\x1b[2J\x1b[H");
            write!(io::stdout(), "{}{picture}", clear.unwrap_or_default())?;
            shown = picture;
        }
        tokio::select! {
            report = client.next_report() => match report {
                Some(report) => _ = (view.fold(&report), link.fold(&report)),
                None => return Err("the server does not admit this client".into()),
            },
            _ = seconds.tick(), if link.is_timed() => drop(link.tick()),
            line = lines.recv() => match line {
                Some(line) => obey(line, &mut client, &mut view)?,
                None => break,
            },
        }
    }
    Ok(client.close_after_flush(Duration::from_secs(5)).await?)
}

fn obey(line: String, client: &mut Client, view: &mut RoomView) -> io::Result<()> {
    let room = view.timeline.room().clone();
    let waiting = client.outbox().filter(|it| it.stage.is_aside());
    let waiting: Vec<_> = waiting.map(|it| it.id).collect();
    if line == "/older" {
        if let Some(before) = view.timeline.older_than() {
            view.timeline.loading_older();
            client.history(room, before, 50);
        }
    } else if line == "/again" {
        waiting.into_iter().for_each(|id| client.send_again(id));
    } else if line == "/drop" {
        for id in waiting {
            client.discard(id);
            view.timeline.dismiss(id);
        }
    } else if let Err(error) = client.publish(room, line) {
        writeln!(io::stderr(), "{error}")?;
    }
    Ok(())
}

/// The room, and under it how the connection is and the members.
fn draw(view: &RoomView, link: &Link) -> String {
    let rows = view.timeline.rows().into_iter().map(|row| match row {
        Row::Logged(it) => format!("{}: {}", it.message.name, it.message.body),
        Row::Pending(it) => format!("{} ({:?})", it.body, it.fate),
        Row::Gap(_) => "(messages are missing here)".to_owned(),
    });
    let typing = view.people.typing().into_iter();
    let typing = typing.map(|it| format!("{} is typing: {}", it.name, it.body));
    let here = view.people.here().into_iter();
    let here: Vec<_> = here.map(|it| it.name.to_string()).collect();
    let (count, here) = (view.people.count(), here.join(", "));
    let last = format!("-- {}, {count} here: {here}", state(link));
    let lines = rows.chain(typing).chain([last]);
    // Other people's text must not command the terminal.
    lines
        .map(|it| it.replace(char::is_control, " ") + "\n")
        .collect()
}

/// The connection: why there is none, and for a while what its return brought.
fn state(link: &Link) -> String {
    match (link.trouble(), link.recovery()) {
        (Some(why), _) => format!("not connected ({why:?})"),
        (_, Some(it)) if it.is_complete() => {
            format!("connected, {} caught up, 0 lost", it.caught_up)
        }
        _ if link.is_live() => "connected".to_owned(),
        _ => "not connected".to_owned(),
    }
}
