//! The program: options, journal, listener, and the signals that end it.

#[cfg(target_os = "linux")]
mod send_queue;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use clap::Parser;
use everbeat_axum::access::Authenticator;
use everbeat_axum::clock;
use everbeat_axum::hub::Hub;
use everbeat_axum::stream::SendQueueReader;
#[cfg(feature = "embed")]
use leptos::config::LeptosOptions;
use leptos::config::get_configuration;
use server::command::Line;
use server::config::{Admin, Config, NodeOptions};
use server::heap::Allocator;
use server::lab::Lab;
use server::listener::{self, Listener};
use server::peer::{OneNode, PeerDoor, PeerSecret, ask};
use server::{Server, Stopped, descriptors, in_full, telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[expect(
    clippy::print_stderr,
    reason = "the log may not have begun, and a person is looking"
)]
fn main() -> ExitCode {
    let Line { config, command } = Line::parse();
    let done = match command {
        Some(command) => command
            .run(&config, &mut io::stdout())
            .map_err(anyhow::Error::from),
        None => start(config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("everbeat: {}", in_full(error.as_ref()));
            let stopped = error.downcast_ref::<Stopped>();
            stopped.map_or(ExitCode::FAILURE, |_| Stopped::EXIT_CODE.into())
        }
    }
}

fn start(config: Config) -> anyhow::Result<()> {
    config.check()?;
    clock::check(SystemTime::now())?;
    let _telemetry =
        telemetry::start(&config.operation.telemetry()).context("the address of --otlp")?;
    let wanted = descriptors::wanted(config.limits.connections, config.limits.handshakes);
    if let Some(most) = descriptors::raise().filter(|most| *most < wanted) {
        tracing::warn!(
            most,
            wanted,
            "fewer files may be open than --connections and --handshakes need: see ulimit -n"
        );
    }
    if config.nodes.addresses.len() > 1 && config.limits.allowed_origins.is_empty() {
        tracing::warn!(
            "pages of one node may not connect to another one: name the origins of all nodes in --allowed-origins"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        loop {
            let Err(error) = serve(config.clone()).await else {
                return Ok(());
            };
            let stopped = error.downcast_ref::<Stopped>();
            match stopped.and_then(|Stopped(stop)| stop.needs_copy) {
                Some(needed) if !config.nodes.peers.is_empty() => {
                    take_copy(&config, needed).await?;
                }
                _ => return Err(error),
            }
        }
    })
}

/// Takes a copy of another node's log in place of this one, which is too far behind.
async fn take_copy(config: &Config, needed: u64) -> anyhow::Result<()> {
    let NodeOptions {
        peers,
        peer_secret_file,
        ..
    } = &config.nodes;
    let secret = PeerSecret::of_option(peer_secret_file.as_deref())?;
    tracing::info!(needed, "taking a copy of another node's log");
    let copied = ask::copy_of_furthest(peers, &secret, needed, &config.database()).await;
    let applied = copied.context("no copy of another node's log")?;
    tracing::info!(applied = applied.sequence, "the copy is in place");
    Ok(())
}

/// Serves the site that is in this program, unless the options name another one.
#[cfg(feature = "embed")]
fn embedded(
    mut config: Config,
    mut leptos: LeptosOptions,
) -> anyhow::Result<(Config, LeptosOptions)> {
    if config.site_root.as_os_str() == Config::SITE_ROOT {
        let site = server::site::unpack(&config.data)?;
        leptos.hash_file = site.hash_file.to_string_lossy().into();
        config.site_root = site.root;
    }
    Ok((config, leptos))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let leptos = get_configuration(None).context("the site's configuration")?;
    let mut leptos = leptos.leptos_options;
    if leptos.output_name.is_empty() {
        // Built by Cargo alone, which does not name it.
        leptos.output_name = "everbeat".into();
    }
    // The port first: a server that listens there already also holds the data.
    let listener = Listener::open(config.listener()).await?;
    let hub = if listener.shared.is_shared() {
        server::await_hub(&config).await?
    } else {
        server::open_hub(&config)?
    };
    // An older server keeps its own listener until it has ended, so that one can always be asked.
    let admin = match config.operation.admin {
        Admin::At(address) => Some(listener::listen(
            address,
            listener.shared.is_shared(),
            "--admin",
        )?),
        Admin::Off => None,
    };
    let lab = match config.operation.lab {
        true => Some(open_lab(&listener, admin.as_ref())?),
        false => None,
    };
    let peers = peers(&config, &hub, listener.shared.is_shared())?;
    // The one that holds the log holds the data directory.
    #[cfg(feature = "embed")]
    let (config, mut leptos) = embedded(config, leptos)?;
    // If `cargo leptos build` left a file with hashes of names, the files have hashed names.
    let hashes = std::env::current_exe()?.with_file_name(leptos.hash_file.as_ref());
    leptos.hash_files |= hashes.exists();
    leptos.site_root = config.site_root.to_string_lossy().into();
    let authenticator = Arc::new(Authenticator::new(config.authenticator()).await?);
    leptos.site_addr = listener.socket.local_addr()?;
    if listener.shared.is_shared() {
        tracing::info!(shared = ?listener.shared, "the next server takes over here");
    }
    tracing::info!("serving on {}", listener.url()?);
    if let Some(admin) = &admin {
        tracing::info!("for the operator: http://{}/status", admin.local_addr()?);
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let server = Server {
        config,
        leptos,
        listener,
        admin,
        peers,
        hub,
        authenticator,
        allocator: allocator(),
        send_queues: send_queues(),
        lab,
    };
    Ok(server.run(shutdown).await?)
}

/// Opens the lab at these listeners, which the options alone do not tell: a service manager may have opened one.
fn open_lab(listener: &Listener, admin: Option<&TcpListener>) -> anyhow::Result<Lab> {
    let admin = admin.map(TcpListener::local_addr).transpose()?;
    let lab = Lab::open(listener.socket.local_addr()?, admin, listener.tls.is_some())?;
    tracing::warn!(
        "--lab: the pages of this server may kill it, at {}",
        lab.origin()
    );
    Ok(lab)
}

/// The listener for other nodes, if there is one.
fn peers(config: &Config, hub: &Arc<Hub>, is_shared: bool) -> anyhow::Result<Option<PeerDoor>> {
    let Some(address) = config.nodes.peer_listen else {
        return Ok(None);
    };
    let secret = PeerSecret::of_option(config.nodes.peer_secret_file.as_deref())?;
    let listener = listener::listen(address, is_shared, "--peer-listen")?;
    Ok(Some(PeerDoor {
        listener,
        secret: Arc::new(secret),
        node: Arc::new(OneNode {
            hub: Arc::clone(hub),
            database: config.database(),
        }),
    }))
}

#[cfg(target_os = "linux")]
const fn send_queues() -> SendQueueReader {
    SendQueueReader(send_queue::read)
}

/// Other systems say it in other ways, or not at all.
#[cfg(not(target_os = "linux"))]
fn send_queues() -> SendQueueReader {
    SendQueueReader::default()
}

/// glibc's allocator, which keeps what many threads freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn allocator() -> Allocator {
    Allocator {
        // SAFETY: mallinfo2(3) takes no pointer and may be called from any thread at any time (MT-Unsafe only
        // against mallopt(3), which is called nowhere); it reads counts of each arena under its lock.
        free: || unsafe { libc::mallinfo2() }.fordblks as u64,
        // SAFETY: malloc_trim(3) takes no pointer, may be called from any thread at any time (MT-Safe), and
        // touches only what is free.
        give_back: || unsafe {
            libc::malloc_trim(0);
        },
    }
}

/// Other allocators give memory back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn allocator() -> Allocator {
    Allocator::default()
}
