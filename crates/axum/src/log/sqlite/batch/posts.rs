//! Posts: messages that come without a session, each with an idempotency key.

use protocol::position::Epoch;
use rusqlite::{OptionalExtension, params};

use super::{Batch, BodyHash, Fault, body_hash};
use crate::log::sqlite::{integer, row};
use crate::log::{Append, Post, Posted};
use protocol::id::{Generation, Seq};
use protocol::server::repeated_post;

impl Batch<'_> {
    /// Appends a post (EO-1 and EO-6, by its key instead of a number).
    pub(in crate::log::sqlite) fn post(
        &mut self,
        post: Post,
        epoch: Epoch,
    ) -> Result<Posted, Fault> {
        let body_hash = body_hash(&post.body);
        let first = self
            .prepare(
                "SELECT posts.offset, rooms.name, posts.body_hash
                 FROM posts JOIN rooms ON rooms.id = posts.room WHERE posts.key = ?1",
            )?
            .query_row([&post.key], |row| {
                let (room, hash) = (row.get_ref(1)?.as_str()?, row.get::<_, BodyHash>(2)?);
                let same = room == post.room.as_str() && hash == body_hash;
                Ok((row::offset(row, 0)?, same))
            })
            .optional()?;
        if let Some((offset, same)) = first {
            return Ok(repeated_post(epoch, offset, same)?);
        }
        let (key, at_ms) = (post.key, post.at_ms);
        let (room, offset) = self.store_message(into_append(post))?;
        self.run(
            "INSERT INTO posts (key, room, offset, body_hash, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![key, room, integer(offset.get()), body_hash, integer(at_ms)],
        )?;
        Ok(Posted {
            epoch,
            offset,
            is_repeat: false,
        })
    }

    /// Forgets at most so many keys, the oldest first.
    pub(in crate::log::sqlite) fn forget_posts(
        &self,
        before_ms: u64,
        limit: usize,
    ) -> Result<usize, Fault> {
        let forgotten = self.run(
            "DELETE FROM posts WHERE key IN
                 (SELECT key FROM posts WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
            params![integer(before_ms), integer(limit as u64)],
        )?;
        Ok(forgotten)
    }
}

/// The post as an append: the first message of its session.
fn into_append(post: Post) -> Append {
    Append {
        session: post.session,
        generation: Generation::default(),
        seq: Seq::FIRST,
        room: post.room,
        name: post.name,
        body: post.body,
        at_ms: post.at_ms,
        is_repeat: false,
        erased: post.erased,
    }
}
