//! The service manager, as systemd: the server reports that it serves, and that it drains (sd_notify(3)). Where
//! `NOTIFY_SOCKET` names none, nothing is reported.

use sd_notify::NotifyState;

/// Connections are accepted from now on.
pub(crate) fn ready() {
    report(&NotifyState::Ready);
}

/// The drain begins.
pub(crate) fn stopping() {
    report(&NotifyState::Stopping);
}

/// Writes one datagram to a local socket, which does not wait for an answer.
fn report(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, %state, "the service manager cannot be notified");
    }
}
