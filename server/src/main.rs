//! Glue: options, logs, a listener, and the signals that end it all.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use leptos::config::get_configuration;
use server::access::Gate;
use server::config::{Admin, Config};
use server::{Server, telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match start(Config::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            explain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says on one line what is wrong. Some errors tell their cause themselves: it is not told twice.
#[expect(
    clippy::print_stderr,
    reason = "the log may not have begun, and a person is looking"
)]
fn explain(error: &anyhow::Error) {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    eprintln!("everbeat: {told}");
}

fn start(config: Config) -> anyhow::Result<()> {
    config.check()?;
    let _telemetry = telemetry::start(&config.operation).context("the address of --otlp")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut leptos = get_configuration(None)
        .context("the site's configuration")?
        .leptos_options;
    // Where `cargo leptos build` left the names of hashed files, it left hashed files.
    let hashes = std::env::current_exe()?.with_file_name(leptos.hash_file.as_ref());
    leptos.hash_files |= hashes.exists();
    leptos.site_root = config.site_root.to_string_lossy().into();
    // The port first: whoever already serves there also holds the data.
    let listener = listen(config.listen, "--listen").await?;
    let admin = match config.operation.admin {
        Admin::At(address) => Some(listen(address, "--admin").await?),
        Admin::Off => None,
    };
    let hub = server::open_hub(&config)?;
    let gate = Arc::new(Gate::new(&config).await?);
    let address = listener.local_addr()?;
    leptos.site_addr = address;
    tracing::info!("serving on http://{address}");
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
        hub,
        gate,
    };
    server.run(shutdown).await;
    Ok(())
}

async fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another server running there? See {option}")
    })
}
