//! Glue: options, logs, a listener, and the signals that end it all.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use leptos::config::get_configuration;
use server::access::Gate;
use server::command::Line;
use server::config::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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
    let filter = EnvFilter::try_from_env("EVERBEAT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // By default it would complain on stderr that stderr cannot be written, on a full disk say,
        // and panic as that fails too: in the middle of whatever the task or the log's thread does.
        .log_internal_errors(false)
        .init();
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
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another server running there? See --listen",
            config.listen
        )
    })?;
    let hub = server::open_hub(&config)?;
    let gate = Arc::new(Gate::new(&config).await?);
    let address = listener.local_addr()?;
    leptos.site_addr = address;
    tracing::info!("serving on http://{address}");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server::run(config, leptos, listener, (hub, gate), shutdown).await;
    Ok(())
}
