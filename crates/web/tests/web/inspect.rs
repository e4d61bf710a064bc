//! A session that is inspected, in a browser.

use std::rc::Rc;
use std::time::Duration;

use everbeat_web::element::Element;
use everbeat_web::{Inspect, Options, Stop};
use futures_channel::mpsc;
use futures_util::StreamExt;
use js_sys::{Array, Reflect};
use protocol::id::Credentials;
use view::{Command, Fault, Observer, Report, TraceEntry};
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::Event;

use super::{clear, credentials, window};

/// Its kind, its milliseconds and its text.
type Entry = (&'static str, f64, String);

struct Tells(mpsc::UnboundedSender<Entry>);

impl Observer for Tells {
    fn take(&self, entry: &TraceEntry<'_>) {
        let entry = (entry.kind.as_str(), entry.ms, entry.text.to_owned());
        self.0.unbounded_send(entry).unwrap();
    }

    fn watch(&self, _: &Credentials) {}
}

/// A session that tells of its reports, and may be inspected.
fn start(inspect: &Inspect) -> (Stop, mpsc::Sender<Command>, mpsc::UnboundedReceiver<Report>) {
    let (commands, wished) = mpsc::channel(8);
    let (tell, told) = mpsc::unbounded();
    let report = Box::new(move |report| tell.unbounded_send(report).unwrap());
    let options = Options::at("/ws").inspect(inspect.clone());
    (everbeat_web::start(options, wished, report), commands, told)
}

async fn until(entries: &mut mpsc::UnboundedReceiver<Entry>, kind: &str, text: &str) -> f64 {
    loop {
        let (of, ms, is) = entries.next().await.unwrap();
        if of == kind && is == text {
            return ms;
        }
    }
}

/// The loop of the page feeds nothing to a driver whose machine sleeps (a fault); then all that came is handled.
#[wasm_bindgen_test]
async fn a_sleeping_machine_handles_all_late() {
    clear();
    let (tell, mut entries) = mpsc::unbounded();
    let inspect = Inspect::default();
    inspect.observe(Some(Rc::new(Tells(tell))));
    let (stop, _commands, _told) = start(&inspect);
    until(&mut entries, "open", "").await;
    inspect.fault(Fault::Sleep(Duration::from_millis(300)));
    let online = Event::new("online").unwrap();
    window().dispatch_event(&online).unwrap();
    let began = until(&mut entries, "fault", "sleep").await;
    let ended = until(&mut entries, "fact", "online").await;
    // Browsers round the clock.
    assert!(ended - began >= 298.0, "{began} to {ended}");
    stop();
}

/// An element gets entries as arrays, and the session apart from them. Its exceptions do not reach the session.
#[wasm_bindgen_test]
async fn an_element_observes() {
    clear();
    let element = js_sys::eval(concat!(
        "({ seen: [], take(entry) { this.seen.push(entry); throw new Error('take'); },",
        "   watch(...session) { this.seen.push(session); throw new Error('watch'); } })"
    ));
    let element = element.unwrap();
    let observer: Element = element.clone().unchecked_into();
    Observer::watch(&observer, &credentials("s1"));
    let inspect = Inspect::default();
    inspect.observe(Some(Rc::new(observer)));
    let (stop, _commands, mut told) = start(&inspect);
    // Restored, connecting, waiting, connecting: it goes on.
    for _ in 0..4 {
        told.next().await.unwrap();
    }
    stop();
    assert!(!everbeat_web::is_broken());
    let seen: Array = Reflect::get(&element, &"seen".into())
        .unwrap()
        .unchecked_into();
    let session: Array = seen.get(0).unchecked_into();
    assert_eq!(session.join(" "), "s1 secret");
    let idle: Array = seen.get(1).unchecked_into();
    assert_eq!(idle.get(0), "state");
    assert!(idle.get(1).as_f64().unwrap() > 0.0);
    assert_eq!(idle.get(2), 0);
    assert_eq!(idle.get(3), 0);
    assert_eq!(idle.get(4), r#"{"status":"idle"}"#);
    let open: Array = seen.get(2).unchecked_into();
    assert_eq!((open.get(0), open.get(2)), ("open".into(), 1.into()));
}
