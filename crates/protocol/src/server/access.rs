//! Access of one connection: its client's identity and rights, and the end of its token (AC).

use super::{Config, Connection, Live, State, Transmit, rules};
use crate::access::{Access, Denied, Identity, Naming, Rights};
use crate::close::CloseCode;
use crate::frame::{ErrorCode, Refusal, ServerFrame};
use crate::id::{Name, RoomName, SessionId, Token};
use crate::time::Timestamp;

/// The access in force: name, rights, and when they end.
#[derive(Debug)]
pub(super) struct Permit {
    naming: Naming,
    rights: Rights,
    /// Only for a client with a token that ends: most are guests.
    lease: Option<Box<Lease>>,
}

/// A token that ends (AC-2).
#[derive(Debug)]
struct Lease {
    identity: Identity,
    /// When `renew` is due; none once it was sent.
    warn_at: Option<Timestamp>,
    ends: Timestamp,
    /// A newer token is being checked.
    is_checked: bool,
}

impl Permit {
    pub(super) fn new(now: Timestamp, access: Access, config: &Config) -> Self {
        let lease = access.expires_in.map(|expires_in| {
            // Never in its first half: so a client whose tokens are always short is not asked all the time.
            let quiet = expires_in.saturating_sub(config.token_warning);
            Lease {
                identity: access.identity,
                warn_at: Some(now + quiet.max(expires_in / 2)),
                ends: now + expires_in,
                is_checked: false,
            }
        });
        Self {
            naming: access.naming,
            rights: access.rights,
            lease: lease.map(Box::new),
        }
    }

    pub(super) const fn rights(&self) -> &Rights {
        &self.rights
    }

    pub(super) const fn vouched(&self) -> Option<&Name> {
        match &self.naming {
            Naming::Vouched(name) => Some(name),
            Naming::Own { .. } => None,
        }
    }

    pub(super) fn name(&self, wish: Option<&Name>, session: &SessionId) -> Name {
        self.naming.name(wish, session)
    }
}

impl Connection {
    /// Takes the answer to [`Transmit::Admit`]: for `hello`, or for a newer token.
    pub(super) fn admitted(&mut self, now: Timestamp, answer: Result<Access, Denied>) {
        match (&mut self.state, answer) {
            (State::Admitting { .. }, Ok(access)) => self.let_in(now, access),
            (State::Admitting { .. }, Err(denied)) => {
                let refusal = Refusal::new(denied.code());
                self.send(ServerFrame::Error(match denied {
                    Denied::Busy(slot) => refusal.retry_after(slot),
                    _ => refusal,
                }));
                self.close(match denied {
                    Denied::Unavailable | Denied::Busy(_) => CloseCode::TRY_AGAIN_LATER,
                    Denied::TokenRequired | Denied::TokenInvalid | Denied::TokenExpired => {
                        CloseCode::UNAUTHORIZED
                    }
                });
            }
            (State::Live(live), answer) => {
                let Some(lease) = &mut live.permit.lease else {
                    return;
                };
                lease.is_checked = false;
                match answer {
                    Ok(access) if access.identity == lease.identity => {
                        let ends = access.ends(now);
                        if ends.is_some_and(|ends| ends <= lease.ends) {
                            // The token in force, or an older one: there is no use in asking for it again.
                            return self.refuse(ErrorCode::TokenExpired);
                        }
                        self.renewed(now, access);
                    }
                    // Another subject needs another session (AC-3).
                    Ok(_) => self.refuse(ErrorCode::TokenInvalid),
                    Err(denied) => self.refuse(denied.code()),
                }
            }
            (State::AwaitingHello { .. } | State::Opening { .. } | State::Closed, _) => {}
        }
    }

    /// AC-2: takes a newer token, to have it checked.
    pub(super) fn renew(&mut self, token: Token) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        match &mut live.permit.lease {
            // One at a time: to check a token costs more than to send it.
            Some(lease) if lease.is_checked => self.refuse(ErrorCode::RateLimited),
            Some(lease) => {
                lease.is_checked = true;
                let token = Some(token);
                self.transmits.push_back(Transmit::Admit { token });
            }
            // Access without an end needs no renewal.
            None => self.refuse(ErrorCode::TokenInvalid),
        }
    }

    /// Sends `renew` in time, and ends the connection when the token has ended.
    pub(super) fn watch_lease(&mut self, now: Timestamp) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let Some(lease) = &mut live.permit.lease else {
            return;
        };
        if now >= rules::served_until(lease.ends, &self.config) {
            self.refuse(ErrorCode::TokenExpired);
            return self.close(CloseCode::TOKEN_EXPIRED);
        }
        if lease.warn_at.take_if(|at| now >= *at).is_some() {
            let within_ms = super::millis(lease.ends - now);
            self.send(ServerFrame::Renew { within_ms });
        }
    }

    /// When the lease is to be looked at.
    pub(super) fn lease_due(&self, live: &Live) -> Option<Timestamp> {
        let lease = live.permit.lease.as_ref()?;
        let until = rules::served_until(lease.ends, &self.config);
        Some(lease.warn_at.unwrap_or(until))
    }

    fn let_in(&mut self, now: Timestamp, access: Access) {
        let State::Admitting {
            deadline,
            name,
            slot,
            resume,
        } = &mut self.state
        else {
            return;
        };
        let (deadline, name, slot, resume) = (*deadline, name.take(), slot.take(), resume.take());
        let owner = access.identity.clone();
        self.state = State::Opening {
            deadline,
            name,
            slot,
            admitted: (now, access),
        };
        self.transmits
            .push_back(Transmit::OpenSession { resume, owner });
    }

    /// A newer token is in force from now on: its name, and its rights (AC-4, AC-5).
    fn renewed(&mut self, now: Timestamp, access: Access) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        live.permit = Permit::new(now, access, &self.config);
        let denied: Vec<RoomName> = live
            .seats
            .rooms()
            .filter(|room| live.permit.rights().may_read(room).is_err())
            .cloned()
            .collect();
        if let Some(name) = live.permit.vouched()
            && *name != live.name
        {
            let name = name.clone();
            self.rename(now, &name);
        }
        for room in denied {
            self.leave(room.clone());
            self.refuse_room(ErrorCode::ReadDenied, room);
        }
    }
}
