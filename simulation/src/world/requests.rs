//! Requests over HTTP in the virtual server: drives one `server::Request` for each, as the real driver does.

use protocol::access::Access;
use protocol::server::{
    Call, Request, RequestAnswer, RequestError, RequestInput, RequestTransmit, Span,
};
use protocol::time::Timestamp;

use super::World;
use crate::link::Links;
use crate::log::{Op, Read};

/// The answer to a request.
pub type Reply = Result<RequestAnswer, RequestError>;

impl World {
    /// A request arrives, of an authenticated client.
    pub fn request(
        &mut self,
        now: Timestamp,
        number: u64,
        (access, call): (&Access, Call),
        links: &mut Links,
    ) {
        let request = Request::new(now, access, call, self.config);
        self.requests.insert(number, request);
        self.serve(now, number);
        self.settle(now, links);
    }

    /// The answers that leave now, each with the number of its request.
    pub fn replies(&mut self) -> Vec<(u64, Reply)> {
        std::mem::take(&mut self.replies)
    }

    /// Whether there is an answer that has to leave.
    pub const fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// A request gets the answer to its last output.
    pub(super) fn answer_request(&mut self, now: Timestamp, number: u64, input: RequestInput) {
        if let Some(request) = self.requests.get_mut(&number) {
            request.handle_input(input);
        }
        self.serve(now, number);
    }

    /// Does what a request asks for, until something takes time.
    fn serve(&mut self, now: Timestamp, number: u64) {
        while let Some(transmit) = self
            .requests
            .get_mut(&number)
            .and_then(Request::poll_transmit)
        {
            let input = match transmit {
                RequestTransmit::Answer(answer) => return self.reply(number, Ok(answer)),
                RequestTransmit::Refuse(error) => return self.reply(number, Err(error)),
                RequestTransmit::Count => RequestInput::Counted(self.posts.take(now)),
                RequestTransmit::Post {
                    room,
                    key,
                    session,
                    name,
                    body,
                } => {
                    let op = Op::Post {
                        key,
                        session,
                        room,
                        name,
                        body,
                    };
                    return self.log.submit(now, number, op);
                }
                RequestTransmit::Redact { room, offset } => {
                    let op = Op::Remove { room, offset };
                    return self.log.submit(now, number, op);
                }
                RequestTransmit::Barrier { within } => {
                    if self.log.reach(now, number, within) {
                        RequestInput::Reached(true)
                    } else {
                        return;
                    }
                }
                // The virtual log has no files.
                RequestTransmit::Scrub { .. } => RequestInput::Scrubbed(true),
                what => match self.log.read_later(now, number, Read::Request(what)) {
                    Some(Read::Request(what)) => self.request_read(what),
                    _ => return,
                },
            };
            if let Some(request) = self.requests.get_mut(&number) {
                request.handle_input(input);
            }
        }
    }

    /// Does a read that a request asked for.
    pub(super) fn request_read(&mut self, what: RequestTransmit) -> RequestInput {
        let is_available = self.log.is_available;
        match what {
            RequestTransmit::LogSpan { room } => {
                let (epoch, head, trimmed) = self.log.state(&room);
                let span = Span {
                    epoch,
                    head,
                    trimmed,
                };
                RequestInput::LogSpan(is_available.then_some(span))
            }
            RequestTransmit::Read { room, after, limit } => {
                // Trimmed messages are not there: then the page begins later.
                let after = after.max(self.log.trimmed(&room));
                let messages = self.log.read(&room, after, limit).filter(|_| is_available);
                RequestInput::PageRead(messages.map(|messages| (messages, false)))
            }
            RequestTransmit::ReadBefore {
                room,
                before,
                limit,
            } => RequestInput::PageRead(self.log.read_before(&room, before, limit)),
            what => unreachable!("{what:?} is not read"),
        }
    }

    fn reply(&mut self, number: u64, reply: Reply) {
        self.requests.remove(&number);
        self.replies.push((number, reply));
    }
}
