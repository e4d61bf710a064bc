//! The database's format: the steps that lead to it.

/// What marks a database file as Everbeat's: "EvBt".
pub(super) const APPLICATION_ID: i32 = 0x4576_4274;

/// The format of today: the number of steps.
pub(super) const FORMAT: i32 = 5;

/// The steps, each from one format to the next. A new database takes them all, one of an older server those that
/// it lacks. A step stays as it is for good.
pub(super) const STEPS: [&str; FORMAT as usize] =
    [FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4, FORMAT_5];

/// Sessions may be forgotten while their `messages` stay; `receipts` and `refusals` go with their session.
/// Rooms have row ids, as names may be long and each message refers to its room.
pub(super) const FORMAT_1: &str = "
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    key_hash BLOB NOT NULL,
    last_seq INTEGER NOT NULL,
    touched_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_touch ON sessions (touched_ms);

CREATE TABLE rooms (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    head INTEGER NOT NULL,
    trimmed INTEGER NOT NULL
) STRICT;

CREATE TABLE messages (
    room INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (room, offset)
) STRICT, WITHOUT ROWID;

-- What is needed to answer the number of a message when it is repeated. It stays when the message
-- is trimmed, and goes with its session: so trimming is the deletion of one range.
CREATE TABLE receipts (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    room INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    body_hash BLOB NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusals (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;
";

/// Redacted texts, and messages without a session.
const FORMAT_2: &str = "
-- When the text was removed; NULL where it was not.
ALTER TABLE messages ADD COLUMN removed_ms INTEGER;
CREATE INDEX messages_by_removal ON messages (room, removed_ms) WHERE removed_ms IS NOT NULL;

-- What is needed to answer the key of a post when it is repeated.
CREATE TABLE posts (
    key BLOB PRIMARY KEY,
    room INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    body_hash BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX posts_by_time ON posts (at_ms);
";

/// The state of the log as a whole, in one row: how many commits there were, the hash that stands for them,
/// and whether a redacted text may still stand in the files. An older server may have left one there.
const FORMAT_3: &str = "
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    commits INTEGER NOT NULL,
    hash BLOB NOT NULL,
    must_scrub INTEGER NOT NULL
) STRICT;
INSERT INTO state (only, commits, hash, must_scrub)
    SELECT 1, 0, zeroblob(16), EXISTS (SELECT 1 FROM messages WHERE removed_ms IS NOT NULL);
";

/// Bounds on what a stranger can make grow: refusals, and sessions that never do anything.
const FORMAT_4: &str = "
-- How many numbers, from seq on, were refused for this reason: those in a row share a row.
ALTER TABLE refusals ADD COLUMN count INTEGER NOT NULL DEFAULT 1;

-- Sessions that used no number are forgotten sooner.
CREATE INDEX sessions_unused ON sessions (touched_ms) WHERE last_seq = 0;
";

/// Several nodes fold one order of packs of commands.
const FORMAT_5: &str = "
-- How often the session was opened: what an earlier opening still sends is refused.
ALTER TABLE sessions ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;

-- The sequence of the pack that the message came in; NULL on a single node.
ALTER TABLE messages ADD COLUMN sequence INTEGER;

-- The newest life of each node, and the number of its last pack that was folded.
CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    life_count INTEGER NOT NULL,
    -- The bits of an unsigned number.
    life_nonce INTEGER NOT NULL,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The sequence of the last pack that was folded, the digest of all of them, and the hash of that pack's id; NULL on a
-- single node.
ALTER TABLE state ADD COLUMN applied INTEGER;
ALTER TABLE state ADD COLUMN digest BLOB;
ALTER TABLE state ADD COLUMN pack BLOB;
";
