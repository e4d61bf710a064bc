//! The queue of commands from the app to its session.

use std::collections::VecDeque;

use futures_channel::mpsc::Sender;
use protocol::id::RoomName;
use view::Command;

/// The most commands that wait for the driver. Overflow: [`Busy`], at once. The commands that say in which rooms the
/// app is, and under which name, wait outside of the queue instead: one for each room, and one for the name.
pub const COMMANDS_MAX: usize = 256;

/// The error of a command that is not taken: [`COMMANDS_MAX`] wait for the driver already, or there is no driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session takes no more commands now")]
pub struct Busy;

/// The driver's queue, and the commands that must not be lost when it is full.
#[derive(Debug)]
pub(crate) struct Commands {
    // One sender for all: each clone would add a slot of its own to the channel's limit.
    queue: Sender<Command>,
    /// The commands that did not fit, oldest first: at most one for each [`Subject`].
    owed: VecDeque<Command>,
}

/// The subject of a command that replaces every earlier one of the same subject.
#[derive(PartialEq, Eq)]
enum Subject<'a> {
    Room(&'a RoomName),
    Name,
}

impl Commands {
    pub(crate) const fn new(queue: Sender<Command>) -> Self {
        let owed = VecDeque::new();
        Self { queue, owed }
    }

    /// Queues a command for the driver.
    ///
    /// # Errors
    /// [`Busy`] if it is not taken. A command with a [`Subject`] always is.
    pub(crate) fn send(&mut self, command: Command) -> Result<(), Busy> {
        if let Some(subject) = subject(&command) {
            self.owed
                .retain(|owed| self::subject(owed).as_ref() != Some(&subject));
            self.owed.push_back(command);
            self.flush();
            return Ok(());
        }
        if !self.flush() {
            return Err(Busy);
        }
        self.queue.try_send(command).map_err(|_| Busy)
    }

    /// Queues the owed commands, as far as they fit. Returns whether that was all.
    pub(crate) fn flush(&mut self) -> bool {
        while let Some(command) = self.owed.pop_front() {
            if let Err(refused) = self.queue.try_send(command) {
                if refused.is_disconnected() {
                    self.owed.clear();
                } else {
                    self.owed.push_front(refused.into_inner());
                }
                return false;
            }
        }
        true
    }
}

const fn subject(command: &Command) -> Option<Subject<'_>> {
    match command {
        Command::Join { room, .. } | Command::Leave { room } => Some(Subject::Room(room)),
        Command::Rename { .. } => Some(Subject::Name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_channel::mpsc::channel;

    use super::*;

    fn leave(room: &str) -> Command {
        let room = RoomName::new(room).unwrap();
        Command::Leave { room }
    }

    fn join(room: &str) -> Command {
        Command::Join {
            room: RoomName::new(room).unwrap(),
            since: None,
            shown: Vec::new(),
        }
    }

    /// A full queue refuses what can be tried again, and the newest command about each room waits, in order.
    #[test]
    fn no_room_is_lost_where_the_queue_is_full() {
        // One more than its size: a sender has a slot of its own.
        let (queue, mut driver) = channel(0);
        let mut commands = Commands::new(queue);
        assert_eq!(commands.send(Command::ConnectNow), Ok(()));
        assert_eq!(commands.send(Command::ConnectNow), Err(Busy));
        for command in [join("a"), join("b"), leave("a"), join("c")] {
            assert_eq!(commands.send(command), Ok(()));
        }
        assert_eq!(commands.send(Command::ConnectNow), Err(Busy));
        let mut taken = Vec::new();
        while let Ok(command) = driver.try_recv() {
            taken.push(command);
            commands.flush();
        }
        assert_eq!(
            taken,
            [Command::ConnectNow, join("b"), leave("a"), join("c")]
        );
        assert_eq!(commands.send(Command::ConnectNow), Ok(()));
    }

    #[test]
    fn without_a_driver_nothing_is_kept() {
        let (queue, driver) = channel(1);
        drop(driver);
        let mut commands = Commands::new(queue);
        assert_eq!(commands.send(Command::ConnectNow), Err(Busy));
        assert_eq!(commands.send(join("a")), Ok(()));
        assert!(commands.owed.is_empty());
    }
}
