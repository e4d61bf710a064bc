use std::collections::VecDeque;
use std::net::Ipv4Addr;

use everbeat_axum::clock::Clock;
use everbeat_axum::hub::Rooms;
use everbeat_axum::limits::LimitsConfig;
use everbeat_axum::log::memory::MemoryLog;
use parking_lot::Mutex;

use super::*;
use crate::descriptors::Reserve;

/// A source that gives the results of a script, and notes when it was polled.
#[derive(Default)]
struct Script {
    accepted: Mutex<VecDeque<io::Result<(TcpStream, SocketAddr)>>>,
    asked: Mutex<Vec<Instant>>,
}

impl Source for Script {
    fn poll_accept(&self, _: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.asked.lock().push(Instant::now());
        let next = self.accepted.lock().pop_front();
        next.map_or(Poll::Pending, Poll::Ready)
    }
}

/// The server's end of a connection, and the client's.
async fn connection() -> ((TcpStream, SocketAddr), TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    (listener.accept().await.unwrap(), client.unwrap())
}

fn acceptor() -> Acceptor {
    let rooms = Arc::new(Rooms::new(1));
    let log = Arc::new(MemoryLog::new(1, rooms.clone()));
    Acceptor {
        router: Router::new(),
        hub: Arc::new(Hub::new(rooms, log, 0, Clock::start())),
        limits: Arc::new(Limits::new(LimitsConfig::default())),
        config: AcceptorConfig {
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(30),
            http: Arc::default(),
        },
        reserve: Reserve::keep().of_everybody(),
    }
}

/// A descriptor of the reserve goes to a connection that sends nothing. Others are accepted meanwhile, as soon as
/// descriptors are free.
#[tokio::test(start_paused = true)]
async fn a_silent_connection_on_the_last_descriptor_holds_up_no_other() {
    let (silent, _client) = connection().await;
    let (other, _other_client) = connection().await;
    let exhausted = || Err(io::Error::from_raw_os_error(24));
    let script = Script::default();
    *script.accepted.lock() = [exhausted(), Ok(silent), Ok(other), exhausted()].into();
    let end = End {
        leave: CancellationToken::new(),
        stop: CancellationToken::new(),
    };
    let (acceptor, requests) = (acceptor(), TaskTracker::new());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    let begun = Instant::now();
    let accept = acceptor.accept(&http, &script, None, &end, &requests);
    // Longer than the silent connection's deadline.
    assert!(timeout(LAST_HEAD + ACCEPT_AGAIN, accept).await.is_err());
    let waited = |asked: &Instant| *asked - begun;
    let asked: Vec<_> = script.asked.lock().iter().map(waited).collect();
    // No descriptor; then the silent connection; then the other one.
    assert_eq!(asked[..3], [Duration::ZERO; 3], "{asked:?}");
}
