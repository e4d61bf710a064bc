//! The core beside a simple model: one room is a list of texts, a page
//! sees that list from where it entered, and an outbox is a list, too. Random steps, quiet after each;
//! a difference shrinks to the shortest run that shows it.

#![expect(clippy::unwrap_used, reason = "this whole file is tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use protocol::client::{Session, Stored};
use protocol::id::RoomName;
use simulation::link::Way;
use simulation::pair::Pair;

/// More pages than two show nothing new, but closed pages and copies need a few.
const PAGES_MAX: usize = 4;

/// How many of the newest messages a page without a position gets.
const JOIN_LIMIT: usize = 50;

/// Longer than all that follows a step: a backoff, a resume, the departure of an away member.
const QUIET: Duration = Duration::from_secs(75);

/// The lobby, as it should be.
#[derive(Clone, Debug, Default)]
struct Model {
    log: Vec<String>,
    pages: Vec<Page>,
    written: usize,
}

#[derive(Clone, Debug)]
struct Page {
    is_connected: bool,
    /// The index in the log at which its view begins; `None` outside of the room.
    from: Option<usize>,
    draft: String,
    outbox: Vec<String>,
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    Publish(usize),
    /// The message arrives, and its ack is lost.
    PublishUnheard(usize),
    /// The server dies with the message on its way into the log.
    PublishAndCrash(usize),
    Draft(usize, String),
    Join(usize),
    Leave(usize),
    Cut(usize),
    Disconnect(usize),
    /// Connects again, and resumes.
    Connect(usize),
    /// Connects after the server forgot its session, long disconnected (RS-9).
    ConnectForgotten(usize),
    Reload(usize),
    /// A copy without a lock resumes the session: it takes it over (RS-4).
    TakeOver(usize),
    Crash,
}

impl Model {
    fn publish(&mut self, page: usize) {
        let text = self.next_text();
        let page = &mut self.pages[page];
        page.draft.clear();
        if page.is_connected {
            self.log.push(text);
        } else {
            page.outbox.push(text);
        }
        self.written += 1;
    }

    fn next_text(&self) -> String {
        format!("text {}", self.written)
    }

    fn latest(&self) -> usize {
        self.log.len().saturating_sub(JOIN_LIMIT)
    }

    /// The draft of a page as the other members see it.
    fn visible_draft(&self, page: &Page) -> String {
        if page.is_connected && page.from.is_some() {
            page.draft.clone()
        } else {
            String::new()
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let mut model = Self::default();
        model = Self::apply(model, &Step::Open);
        Just(model).boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Step> {
        let page = 0..model.pages.len();
        prop_oneof![
            2 => Just(Step::Open),
            8 => page.clone().prop_map(Step::Publish),
            2 => page.clone().prop_map(Step::PublishUnheard),
            2 => page.clone().prop_map(Step::PublishAndCrash),
            4 => (page.clone(), "[a-z]{0,3}").prop_map(|(page, text)| Step::Draft(page, text)),
            2 => page.clone().prop_map(Step::Join),
            1 => page.clone().prop_map(Step::Leave),
            2 => page.clone().prop_map(Step::Cut),
            2 => page.clone().prop_map(Step::Disconnect),
            3 => page.clone().prop_map(Step::Connect),
            1 => page.clone().prop_map(Step::ConnectForgotten),
            2 => page.clone().prop_map(Step::Reload),
            1 => page.prop_map(Step::TakeOver),
            1 => Just(Step::Crash),
        ]
        .boxed()
    }

    fn preconditions(model: &Self, step: &Step) -> bool {
        let page = |page: &usize| model.pages.get(*page);
        match step {
            Step::Open => model.pages.len() < PAGES_MAX,
            Step::Publish(at) => page(at).is_some(),
            Step::PublishUnheard(at) | Step::PublishAndCrash(at) | Step::Cut(at) => {
                page(at).is_some_and(|page| page.is_connected)
            }
            Step::Draft(at, _) | Step::Leave(at) => {
                page(at).is_some_and(|page| page.from.is_some())
            }
            Step::Join(at) => page(at).is_some_and(|page| page.from.is_none()),
            Step::Disconnect(at) => page(at).is_some_and(|page| page.is_connected),
            Step::Connect(at) | Step::ConnectForgotten(at) => {
                page(at).is_some_and(|page| !page.is_connected)
            }
            Step::Reload(at) => page(at).is_some(),
            Step::TakeOver(at) => {
                model.pages.len() < PAGES_MAX && page(at).is_some_and(|page| page.is_connected)
            }
            Step::Crash => true,
        }
    }

    fn apply(mut model: Self, step: &Step) -> Self {
        match step {
            Step::Open | Step::TakeOver(_) => {
                let from = Some(model.latest());
                model.pages.push(Page {
                    is_connected: true,
                    from,
                    draft: String::new(),
                    outbox: Vec::new(),
                });
            }
            Step::Publish(at) | Step::PublishUnheard(at) | Step::PublishAndCrash(at) => {
                model.publish(*at);
            }
            Step::Draft(at, text) => model.pages[*at].draft.clone_from(text),
            Step::Join(at) => model.pages[*at].from = Some(model.latest()),
            Step::Leave(at) => {
                model.pages[*at].from = None;
                model.pages[*at].draft.clear();
            }
            Step::Cut(_) | Step::Crash => {}
            Step::Disconnect(at) => model.pages[*at].is_connected = false,
            Step::Connect(at) | Step::ConnectForgotten(at) => {
                let page = &mut model.pages[*at];
                page.is_connected = true;
                model.log.append(&mut page.outbox);
            }
            Step::Reload(at) => {
                let from = Some(model.latest());
                let page = &mut model.pages[*at];
                page.is_connected = true;
                page.draft.clear();
                page.from = from;
                model.log.append(&mut page.outbox);
            }
        }
        model
    }
}

/// The real machines, and which of them is which page of the model.
struct Real {
    pair: Pair,
    clients: Vec<usize>,
}

fn lobby() -> RoomName {
    RoomName::lobby()
}

impl Real {
    fn open(&mut self, storage: Stored) -> usize {
        let client = self.pair.page(storage);
        self.pair.join(client, &lobby(), None);
        self.pair.connect(client);
        client
    }

    fn apply(&mut self, model: &Model, step: &Step) {
        let client = |at: &usize| self.clients[*at];
        match step {
            Step::Open => {
                let client = self.open(Stored::default());
                self.clients.push(client);
            }
            Step::Publish(at) => self.publish(client(at), model),
            Step::PublishUnheard(at) => {
                let client = client(at);
                self.pair.stall(client, Way::Down);
                self.publish(client, model);
                self.pair.run_for(Duration::from_millis(500));
                self.pair.cut(client);
            }
            Step::PublishAndCrash(at) => {
                self.pair.world.log.commit_latency = Duration::from_millis(500);
                self.publish(client(at), model);
                self.pair.run_for(Duration::from_millis(100));
                self.pair.crash();
                self.pair.world.log.commit_latency = Duration::ZERO;
                self.pair.restart();
            }
            Step::Draft(at, text) => {
                let client = client(at);
                self.pair.draft(client, text);
            }
            Step::Join(at) => {
                let client = client(at);
                self.pair.join(client, &lobby(), None);
            }
            Step::Leave(at) => {
                let client = client(at);
                self.pair.leave(client, &lobby());
            }
            Step::Cut(at) => self.pair.cut(client(at)),
            Step::Disconnect(at) => {
                let client = client(at);
                self.pair.command(client, Session::disconnect);
            }
            Step::Connect(at) => self.pair.connect(client(at)),
            Step::ConnectForgotten(at) => {
                let client = client(at);
                if let Some(session) = self.pair.clients[client].session.id().cloned() {
                    self.pair.world.log.forget(&session);
                }
                self.pair.connect(client);
            }
            Step::Reload(at) => {
                let old = client(at);
                self.pair.close(old);
                let storage = self.pair.clients[old].storage.clone();
                self.clients[*at] = self.open(storage);
            }
            Step::TakeOver(at) => {
                let storage = self.pair.clients[client(at)].storage.clone();
                let client = self.open(storage);
                self.clients.push(client);
            }
            Step::Crash => {
                self.pair.crash();
                self.pair.restart();
            }
        }
        self.pair.run_for(QUIET);
    }

    fn publish(&mut self, client: usize, model: &Model) {
        // The model has counted the message already.
        self.pair
            .publish(client, &format!("text {}", model.written - 1));
    }

    fn check(&self, model: &Model) {
        assert_eq!(self.pair.world.log.bodies(&lobby()), model.log, "the log");
        let mut here = BTreeMap::new();
        for (at, page) in model.pages.iter().enumerate() {
            let session = self.pair.clients[self.clients[at]].session.id();
            if page.is_connected && page.from.is_some() {
                here.insert(session.cloned(), model.visible_draft(page));
            }
        }
        let joined = model
            .pages
            .iter()
            .filter(|p| p.is_connected && p.from.is_some());
        assert_eq!(
            here.len(),
            joined.count(),
            "each page has a session of its own"
        );
        for (at, page) in model.pages.iter().enumerate() {
            self.check_page(at, page, model, &here);
        }
    }

    fn check_page(
        &self,
        at: usize,
        page: &Page,
        model: &Model,
        here: &BTreeMap<Option<protocol::id::SessionId>, String>,
    ) {
        let machine = &self.pair.clients[self.clients[at]];
        let outbox: Vec<&str> = machine.session.outbox().map(|e| e.body.as_str()).collect();
        assert_eq!(outbox, page.outbox, "page {at}: its outbox");
        let Some(from) = page.from.filter(|_| page.is_connected) else {
            return;
        };
        assert!(machine.is_live(), "page {at} is live");
        let shown = machine.shown(&lobby());
        assert_eq!(
            shown.bodies(),
            &model.log[from..],
            "page {at}: what it shows"
        );
        assert_eq!(shown.gaps, 0, "page {at}: nothing is missing");
        let members: Vec<_> = shown.members().into_keys().map(Some).collect();
        assert_eq!(
            members,
            here.keys().cloned().collect::<Vec<_>>(),
            "page {at}: who is here"
        );
        machine.check_shown(&lobby(), &self.pair.world.log);
        let (own, drafts) = (shown.view.timeline.own(), shown.drafts());
        for (session, draft) in here {
            let session = session.as_ref().unwrap();
            if !own.contains(session) {
                let seen = drafts.get(session).map_or("", String::as_str);
                assert_eq!(seen, draft, "page {at}: what {session} types");
            }
        }
    }
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        let mut real = Self {
            pair: Pair::new(),
            clients: Vec::new(),
        };
        real.apply(model, &Step::Open);
        real
    }

    fn apply(mut real: Self, model: &Model, step: Step) -> Self {
        Self::apply(&mut real, model, &step);
        real
    }

    fn check_invariants(real: &Self, model: &Model) {
        real.check(model);
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// RS-3, RS-4, RS-5, RS-9, EO-1, EO-3, EO-4, PR-1, PR-2: the core behaves like the model.
    #[test]
    fn the_core_behaves_like_the_model(sequential 1..40 => Real);
}
