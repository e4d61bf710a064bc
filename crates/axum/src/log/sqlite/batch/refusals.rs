//! Numbers that were used up by a refusal for good (EO-7). Consecutive ones that were refused for the same reason
//! share a row, so that a client which is refused all the time does not fill the disk.

use protocol::frame::{ErrorCode, Refused};
use protocol::id::{Seq, SessionId};
use rusqlite::{OptionalExtension, params};

use super::{Batch, Fault};
use crate::log::sqlite::{integer, row};
use crate::log::{REFUSED_MAX, Refuse};
use protocol::server::{Standing, fence, repeated_refusal, standing};

impl Batch<'_> {
    /// Uses a number up (EO-7).
    pub(in crate::log::sqlite) fn refuse(&mut self, number: &Refuse) -> Result<ErrorCode, Fault> {
        let (session, seq, code) = (&number.session, number.seq, number.code);
        let known = self.known(session)?;
        fence(known.map(|known| known.generation), number.generation)?;
        if standing(known.map(|known| known.last_seq), seq, false)? == Standing::Settled {
            let used = self.used(session, seq, None)?;
            return Ok(repeated_refusal(used)?);
        }
        let (id, number, word) = (session.as_str(), integer(seq.get()), code.as_str());
        // The row that ends just before this number can only be the session's newest.
        let extended = self.run(
            "UPDATE refusals SET count = count + 1
             WHERE session = ?1 AND code = ?3 AND seq + count = ?2
               AND seq = (SELECT max(seq) FROM refusals WHERE session = ?1)",
            params![id, number, word],
        )?;
        if extended == 0 {
            self.run(
                "INSERT INTO refusals (session, seq, code, count) VALUES (?1, ?2, ?3, 1)",
                params![id, number, word],
            )?;
        }
        self.use_up(session, known, seq);
        Ok(code)
    }

    /// The reason for which a number was refused, if it was.
    pub(super) fn refusal(
        &self,
        session: &SessionId,
        seq: Seq,
    ) -> rusqlite::Result<Option<ErrorCode>> {
        let row = self
            .prepare(
                "SELECT code, seq + count FROM refusals WHERE session = ?1 AND seq <= ?2
                 ORDER BY seq DESC LIMIT 1",
            )?
            .query_row(params![session.as_str(), integer(seq.get())], |row| {
                let code = ErrorCode::parse(row.get_ref(0)?.as_str()?);
                Ok((code, row::number(row, 1)?))
            })
            .optional()?;
        Ok(row.and_then(|(code, end)| (seq.get() < end).then_some(code)))
    }

    /// The newest refusals of a session, in order.
    pub(super) fn refused(&self, session: &SessionId) -> rusqlite::Result<Vec<Refused>> {
        let mut newest_first = self.prepare(
            "SELECT seq, code, count FROM refusals WHERE session = ?1 ORDER BY seq DESC LIMIT ?2",
        )?;
        let limit = integer(REFUSED_MAX as u64);
        let mut rows = newest_first.query(params![session.as_str(), limit])?;
        let mut refused = Vec::new();
        while refused.len() < REFUSED_MAX
            && let Some(row) = rows.next()?
        {
            let first = row::seq(row, 0)?;
            let code = ErrorCode::parse(row.get_ref(1)?.as_str()?);
            let numbers = first.get()..first.get() + row::number(row, 2)?;
            let numbers = numbers.rev().take(REFUSED_MAX - refused.len());
            let numbers = numbers.filter_map(|number| Seq::new(number).ok());
            refused.extend(numbers.map(|seq| Refused { seq, code }));
        }
        refused.reverse();
        Ok(refused)
    }
}
