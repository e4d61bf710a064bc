//! A TCP proxy that breaks, stalls and delays connections.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The bytes read at once. Frames have other sizes, so that cuts fall into the middle of one.
const CHUNK: usize = 700;

/// The time after which a stalled connection is closed, so that dead ones do not pile up.
const STALL_MAX: Duration = Duration::from_secs(6);

/// The time that the other direction may go on after one has ended.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// The faults that the proxy adds to connections, open and new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Each connection gets its fault between half of this time and this time after its beginning.
    pub harm_after: Option<Duration>,
    /// Whether the fault is a stall, in one direction or both, instead of a cut.
    pub is_stall: bool,
    /// The delay of each chunk.
    pub delay: Duration,
    /// A partition: nothing gets through in either direction, no end of a connection either, and neither end
    /// notices. When it is over, what was on its way arrives.
    pub is_severed: bool,
}

/// The fault of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// Both ends get an orderly end, perhaps in the middle of a frame.
    Finish,
    /// Both ends get a reset, and lose what they had not read.
    Reset,
    /// Nothing more reaches the server.
    StallUp,
    /// Nothing more reaches the client.
    StallDown,
    /// Nothing more reaches either end.
    StallBoth,
}

/// The state of one direction of one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    is_stalled: bool,
    delay: Duration,
}

/// A running proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// The address for clients.
    pub address: SocketAddr,
    faults: watch::Sender<Faults>,
    running: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of `server`, without faults yet.
    ///
    /// # Errors
    /// The system's error, if no port is free.
    pub async fn start(server: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (faults, current) = watch::channel(Faults::default());
        let running = tokio::spawn(accept(listener, server, current, Rng::with_seed(seed)));
        Ok(Self {
            address,
            faults,
            running,
        })
    }

    /// Sets the faults from now on, also for open connections.
    pub fn harm(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    faults: watch::Receiver<Faults>,
    mut rng: Rng,
) {
    loop {
        // Without a free descriptor, for example: try again.
        let Ok((client, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (faults, rng) = (faults.clone(), rng.fork());
        tokio::spawn(async move {
            // However it ends, dropping it ends both connections.
            let _ = serve(client, server, faults, rng).await;
        });
    }
}

async fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    mut rng: Rng,
) -> io::Result<()> {
    if faults.wait_for(|faults| !faults.is_severed).await.is_err() {
        return Ok(());
    }
    // If the server does not listen, the client is cut off, as by a load balancer.
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (up, up_gate) = watch::channel(Gate::default());
    let (down, down_gate) = watch::channel(Gate::default());
    let harm = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut pumps = pin!(pump_both(
            pump(from_client, to_server, up_gate),
            pump(from_server, to_client, down_gate),
        ));
        loop {
            let now = *faults.borrow_and_update();
            for gate in [&up, &down] {
                gate.send_modify(|gate| {
                    gate.delay = now.delay;
                    gate.is_stalled = now.is_severed;
                });
            }
            tokio::select! {
                () = &mut pumps => return Ok(()),
                changed = faults.changed() => if changed.is_err() { return Ok(()) },
                harm = due(now, &mut rng) => {
                    up.send_modify(|gate| gate.is_stalled = harm != Harm::StallDown);
                    down.send_modify(|gate| gate.is_stalled = harm != Harm::StallUp);
                    if !matches!(harm, Harm::Finish | Harm::Reset) {
                        // A stalled connection stays stalled, whatever the faults are now.
                        let _ = timeout(STALL_MAX, pumps).await;
                    }
                    break harm;
                }
            }
        }
    };
    if harm == Harm::Reset {
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(())
}

/// Waits until the connection's fault is due, for ever if none is; draws which one.
async fn due(faults: Faults, rng: &mut Rng) -> Harm {
    let Some(after) = faults.harm_after else {
        return std::future::pending().await;
    };
    sleep(after.mul_f64(0.5 + rng.f64() / 2.0)).await;
    match (faults.is_stall, rng.u8(..3)) {
        (false, 0) => Harm::Finish,
        (false, _) => Harm::Reset,
        (true, 0) => Harm::StallUp,
        (true, 1) => Harm::StallDown,
        (true, _) => Harm::StallBoth,
    }
}

/// Runs both directions. Once one has ended, the other may go on for `HALF_CLOSED`.
async fn pump_both(up: impl Future<Output = ()>, down: impl Future<Output = ()>) {
    let (mut up, mut down) = (pin!(up), pin!(down));
    tokio::select! {
        () = &mut up => drop(timeout(HALF_CLOSED, down).await),
        () = &mut down => drop(timeout(HALF_CLOSED, up).await),
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut gate: watch::Receiver<Gate>,
) {
    let mut chunk = [0; CHUNK];
    while let Ok(bytes @ 1..) = from.read(&mut chunk).await {
        let delay = gate.borrow().delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        // A stalled direction holds its chunk back; it is lost when the connection ends.
        if gate.wait_for(|gate| !gate.is_stalled).await.is_err()
            || to.write_all(&chunk[..bytes]).await.is_err()
        {
            return;
        }
    }
    // So does the end of the connection.
    if gate.wait_for(|gate| !gate.is_stalled).await.is_ok() {
        let _ = to.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn it_passes_on_what_is_said_and_the_end() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let said = vec![7; 3 * CHUNK];
        stream.write_all(&said).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, said);
    }

    #[tokio::test]
    async fn it_cuts_a_connection_in_time() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let begun = Instant::now();
        proxy.harm(Faults {
            harm_after: Some(Duration::from_millis(50)),
            ..Faults::default()
        });
        // An end or a reset, as the seed decides.
        assert!(!matches!(stream.read(&mut [0; 9]).await, Ok(1..)));
        assert!(begun.elapsed() >= Duration::from_millis(25));
    }

    #[tokio::test]
    async fn a_stalled_connection_stays_open_and_silent() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        proxy.harm(Faults {
            harm_after: Some(Duration::from_millis(1)),
            is_stall: true,
            ..Faults::default()
        });
        sleep(Duration::from_millis(50)).await;
        stream.write_all(b"hello").await.unwrap();
        let answer = timeout(Duration::from_millis(100), stream.read(&mut [0; 9])).await;
        assert!(answer.is_err(), "{answer:?}");
    }

    #[tokio::test]
    async fn a_partition_holds_everything_back_until_it_is_over() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let mut old = TcpStream::connect(proxy.address).await.unwrap();
        old.write_all(b"before").await.unwrap();
        let mut heard = [0; 6];
        old.read_exact(&mut heard).await.unwrap();
        proxy.harm(Faults {
            is_severed: true,
            ..Faults::default()
        });
        sleep(Duration::from_millis(20)).await;
        let mut new = TcpStream::connect(proxy.address).await.unwrap();
        for stream in [&mut old, &mut new] {
            stream.write_all(b"during").await.unwrap();
            stream.shutdown().await.unwrap();
            let answer = timeout(Duration::from_millis(50), stream.read(&mut [0; 9])).await;
            assert!(answer.is_err(), "{answer:?}");
        }
        proxy.harm(Faults::default());
        for stream in [&mut old, &mut new] {
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"during");
        }
    }
}
