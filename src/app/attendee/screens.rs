//! The window and what is behind it: which page and talk are shown, what was typed, and the way from a touch to a wish and from a look at
//! the node to the screen. It runs in the thread of the window, never waits, and decides nothing about talks.

mod around;
mod board;
mod codes;
mod notes;
mod room;

use self::around::Search;
use super::editor::Editor;
use super::notify::Notifier;
use super::paint::{self, Rows};
use super::session::News;
use super::snapshot::Snapshot;
use super::wish::{Act, Done, Wish};
use super::words;
use crate::proto::handoff::code::Kind;
use crate::proto::id::{LinkId, TalkId};
use crate::proto::io::{Event, HandoffEnd};
use crate::proto::node::view::{CardView, NotesView, TalkView};
use alcove_ui::{self as ui, Page, Word};
use slint::{ComponentHandle, SharedString, Timer, TimerMode};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// How long a sentence at the foot of the screen stays.
const TOAST: Duration = Duration::from_secs(7);

/// Takes wishes away, to be carried out elsewhere.
pub type Ask = Box<dyn Fn(Wish)>;

/// The attendee's window.
#[derive(Clone)]
pub struct Screens {
    window: Rc<ui::AttendeeWindow>,
    state: Rc<RefCell<State>>,
}

struct State {
    ask: Ask,
    talks: Vec<TalkView>,
    board: Vec<CardView>,
    hour: u32,
    /// Which talk is on the screen.
    talk: Option<TalkId>,
    notes: Option<NotesView>,
    editor: Editor,
    news: BTreeSet<TalkId>,
    newcomers: BTreeMap<LinkId, [String; 2]>,
    lan_has_failed: bool,
    search: Search,
    members: Rows<ui::NearItem>,
    /// A code is on show, for whom.
    code: Option<Kind>,
    cards: Rows<ui::CardItem>,
    my_talks: Rows<ui::TalkItem>,
    seats: Rows<ui::SeatItem>,
    messages: Rows<ui::MessageItem>,
    agenda: Rows<ui::AgendaItem>,
    actions: Rows<ui::ActionItem>,
    waiting: Rows<ui::NewcomerItem>,
    blocks: Rows<ui::BlockItem>,
    receipts: Rows<ui::ReceiptItem>,
    toast: Rc<Timer>,
    clock: Rc<Timer>,
    notifier: Notifier,
}

impl Screens {
    /// A window that shows nothing yet; what is wished goes to `ask`.
    ///
    /// # Errors
    /// There is no display to show a window on.
    pub fn new(ask: Ask) -> Result<Screens, slint::PlatformError> {
        let window = Rc::new(ui::AttendeeWindow::new()?);
        let state = State {
            ask,
            talks: Vec::new(),
            board: Vec::new(),
            hour: 0,
            talk: None,
            notes: None,
            editor: Editor::default(),
            news: BTreeSet::new(),
            newcomers: BTreeMap::new(),
            lan_has_failed: false,
            search: Search::default(),
            members: Rows::default(),
            code: None,
            cards: Rows::default(),
            my_talks: Rows::default(),
            seats: Rows::default(),
            messages: Rows::default(),
            agenda: Rows::default(),
            actions: Rows::default(),
            waiting: Rows::default(),
            blocks: Rows::default(),
            receipts: Rows::default(),
            toast: Rc::default(),
            clock: Rc::default(),
            notifier: Notifier::default(),
        };
        state.notifier.watch(window.window());
        let screens = Screens { window, state: Rc::new(RefCell::new(state)) };
        screens.hang_lists();
        screens.listen();
        screens.window.global::<ui::Nav>().set_page(Page::Welcome);
        screens.window.global::<ui::SettingsAdapter>().set_version(env!("CARGO_PKG_VERSION").into());
        Ok(screens)
    }

    /// The window itself.
    pub fn window(&self) -> &ui::AttendeeWindow {
        &self.window
    }

    fn hang_lists(&self) {
        let state = self.state.borrow();
        self.window.global::<ui::BoardAdapter>().set_cards(state.cards.model());
        self.window.global::<ui::TalksAdapter>().set_talks(state.my_talks.model());
        self.window.global::<ui::AroundAdapter>().set_members(state.members.model());
        let room = self.window.global::<ui::RoomAdapter>();
        room.set_seats(state.seats.model());
        room.set_messages(state.messages.model());
        room.set_agenda(state.agenda.model());
        room.set_actions(state.actions.model());
        room.set_newcomers(state.waiting.model());
        self.window.global::<ui::NotesAdapter>().set_blocks(state.blocks.model());
        self.window.global::<ui::PrivacyAdapter>().set_receipts(state.receipts.model());
    }

    // ---- from the node -----------------------------------------------------------------------------------------------------------------

    /// Takes what another thread tells.
    pub fn take(&self, news: News) {
        match news {
            News::Look(snapshot) => self.show(*snapshot),
            News::Event(event) => self.told(&event),
            News::Done(done) => self.done(done),
            News::LanFailed(has_failed) => self.state.borrow_mut().lan_has_failed = has_failed,
            News::Opened { level, lost, corrupt, is_practice } => {
                self.window.global::<ui::PrivacyAdapter>().set_keystore(words::keystore(level));
                let event = self.window.global::<ui::EventAdapter>();
                event.set_is_practice(is_practice);
                event.set_is_working(false);
                match (lost, corrupt) {
                    (0, 0) => {}
                    (0, _) => self.tell(Word::RecordCorrupt),
                    _ => self.tell(Word::LostTalks),
                }
            }
            News::CannotOpen(why) => {
                self.window.global::<ui::Nav>().set_page(Page::Stopped);
                self.window.global::<ui::EventAdapter>().set_trouble(why.into());
            }
            News::Erased => {
                self.leave_room(&mut self.state.borrow_mut());
                self.window.global::<ui::Nav>().set_page(Page::Stopped);
                self.window.global::<ui::EventAdapter>().set_trouble(SharedString::new());
            }
        }
    }

    /// A handle that does not keep the window alive.
    pub fn downgrade(&self) -> WeakScreens {
        WeakScreens { window: Rc::downgrade(&self.window), state: Rc::downgrade(&self.state) }
    }

    /// Shows what a look at the node found.
    pub fn show(&self, snapshot: Snapshot) {
        let mut state = self.state.borrow_mut();
        self.show_event(&snapshot);
        self.show_around(&mut state, &snapshot);
        state.hour = snapshot.hour;
        if let Some(board) = &snapshot.board {
            state.board.clone_from(board);
        }
        state.talks.clone_from(&snapshot.talks);
        self.show_board(&state);
        let news = &state.news;
        state.my_talks.set(snapshot.talks.iter().map(|talk| paint::talk(talk, news.contains(&talk.talk))).collect());
        state.receipts.set(snapshot.receipts.iter().rev().map(|receipt| paint::receipt(receipt, snapshot.hour)).collect());
        self.show_room(&mut state, &snapshot);
    }

    fn show_event(&self, snapshot: &Snapshot) {
        let event = self.window.global::<ui::EventAdapter>();
        event.set_has_event(snapshot.event.is_some());
        if let Some(joined) = &snapshot.event {
            event.set_name((&joined.name).into());
            event.set_place((&joined.place).into());
        }
        let nav = self.window.global::<ui::Nav>();
        match nav.get_page() {
            Page::Welcome if snapshot.event.is_some() => nav.set_page(Page::Talks),
            Page::Talks | Page::Draft | Page::Room | Page::ShowCode if snapshot.event.is_none() => nav.set_page(Page::Welcome),
            _ => {}
        }
        let privacy = self.window.global::<ui::PrivacyAdapter>();
        privacy.set_open_talks(paint::int(snapshot.talks.len()));
        privacy.set_neighbours(paint::int(snapshot.status.neighbours));
        privacy.set_relay_kept(paint::int(snapshot.status.relay_kept));
        privacy.set_relay_waiting(paint::int(snapshot.status.relay_waiting));
        privacy.set_carried(paint::int(snapshot.status.carried.0));
        privacy.set_not_saved(snapshot.situation.not_saved.clone().unwrap_or_default().into());
        let room = self.window.global::<ui::RoomAdapter>();
        room.set_is_reachable(snapshot.status.neighbours > 0 || snapshot.status.is_relay_up);
    }

    /// Takes what the node tells.
    pub fn told(&self, event: &Event) {
        let mut state = self.state.borrow_mut();
        match event {
            Event::TalkOpened(talk) => {
                state.news.insert(*talk);
                self.say(&state, Word::TalkOpened);
            }
            Event::Said(talk) | Event::NotesChanged(talk) => {
                if state.talk != Some(*talk) {
                    state.news.insert(*talk);
                }
                if matches!(event, Event::Said(_)) {
                    self.notify(&state, Word::SomethingSaid);
                }
            }
            Event::TalkErased(_) => self.say(&state, Word::TalkErased),
            Event::CardGone(_) => self.say(&state, Word::CardGone),
            Event::HandoffChanged(talk) => {
                if let Some(kind) = state.code.filter(|_| state.talk == Some(*talk)) {
                    (state.ask)(Wish::Node(Act::ShowCode(*talk, kind)));
                }
            }
            Event::HandoffEnded(end) => {
                let scan = self.window.global::<ui::ScanAdapter>();
                scan.set_is_working(false);
                match end {
                    HandoffEnd::AtTable(talk) => {
                        self.say(&state, Word::AtTable);
                        self.enter(&mut state, *talk);
                    }
                    HandoffEnd::WordsShown([one, two]) => {
                        scan.set_word_one(one.into());
                        scan.set_word_two(two.into());
                    }
                    HandoffEnd::Failed(failure) => self.say(&state, words::handoff(*failure)),
                }
            }
            Event::NewcomerWaits { link, words, .. } => {
                state.newcomers.insert(*link, words.clone());
                self.notify(&state, Word::NewcomerWaits);
            }
            Event::RecordCorrupt(_) => self.say(&state, Word::RecordCorrupt),
            Event::TalkChanged(_)
            | Event::NeighboursChanged
            | Event::NearbyChanged
            | Event::RelayChanged
            | Event::ReportsChanged
            | Event::BoardChanged
            | Event::PeerFault(_) => {}
        }
    }

    /// What came of a wish.
    pub fn done(&self, done: Result<Done, Word>) {
        let mut state = self.state.borrow_mut();
        self.window.global::<ui::EventAdapter>().set_is_working(false);
        let scan = self.window.global::<ui::ScanAdapter>();
        match done {
            Err(word) => {
                scan.set_is_working(false);
                self.say(&state, word);
            }
            Ok(Done::Quietly) => {}
            Ok(Done::Joined) => {
                scan.set_is_working(false);
                scan.set_text(SharedString::new());
                self.window.global::<ui::Nav>().set_page(Page::Talks);
            }
            Ok(Done::Posted(talk)) => {
                let draft = self.window.global::<ui::DraftAdapter>();
                draft.set_topic(SharedString::new());
                draft.set_tags(SharedString::new());
                self.enter(&mut state, talk);
                self.say(&state, Word::CardPosted);
            }
            Ok(Done::Asked(talk)) => {
                self.enter(&mut state, talk);
                self.say(&state, Word::SeatAsked);
            }
            Ok(Done::Code(talk, text)) if state.talk == Some(talk) => self.show_code(&state, &text),
            Ok(Done::Frames(talk, sender)) if state.talk == Some(talk) => self.show_frames(&state, &sender),
            Ok(Done::Code(..) | Done::Frames(..)) => {}
            Ok(Done::Progress(part)) => {
                scan.set_is_working(false);
                scan.set_progress(if part >= 1.0 { -1.0 } else { part });
            }
            Ok(Done::Reported) => self.say(&state, Word::Reported),
        }
    }

    /// Says one sentence at the foot of the screen.
    pub fn tell(&self, word: Word) {
        self.say(&self.state.borrow(), word);
    }

    /// For whoever looks elsewhere.
    fn notify(&self, state: &State, word: Word) {
        state.notifier.say(word, || self.window.global::<ui::Words>().invoke_word(word).into());
    }

    fn say(&self, state: &State, word: Word) {
        self.notify(state, word);
        let toast = self.window.global::<ui::Toast>();
        toast.set_word(word);
        toast.set_is_shown(true);
        let window = self.window.as_weak();
        state.toast.start(TimerMode::SingleShot, TOAST, move || {
            if let Some(window) = window.upgrade() {
                window.global::<ui::Toast>().set_is_shown(false);
            }
        });
    }

    // ---- from the person ---------------------------------------------------------------------------------------------------------------

    fn listen(&self) {
        self.listen_to_navigation();
        self.listen_to_event();
        self.listen_to_around();
        self.listen_to_board();
        self.listen_to_room();
        self.listen_to_plan();
        self.listen_to_notes();
        self.listen_to_codes();
    }

    /// What a callback needs: these screens while they live, and what was touched. A callback never keeps the window alive.
    fn when<A: 'static>(&self, act: impl Fn(&Screens, &mut State, A) + 'static) -> impl FnMut(A) + 'static {
        let screens = self.downgrade();
        move |touched| {
            if let Some(screens) = screens.upgrade() {
                act(&screens, &mut screens.state.borrow_mut(), touched);
            }
        }
    }

    fn listen_to_navigation(&self) {
        let nav = self.window.global::<ui::Nav>();
        nav.on_go(self.when(|screens, state, page| screens.go(state, page)));
        let mut back = self.when(|screens, state, ()| screens.back(state));
        nav.on_back(move || back(()));
        let window = self.window.as_weak();
        self.window.global::<ui::Toast>().on_dismiss(move || {
            if let Some(window) = window.upgrade() {
                window.global::<ui::Toast>().set_is_shown(false);
            }
        });
    }

    fn go(&self, state: &mut State, page: Page) {
        let has_event = self.window.global::<ui::EventAdapter>().get_has_event();
        let page = match page {
            Page::Talks | Page::Draft if !has_event => Page::Welcome,
            page => page,
        };
        if self.window.global::<ui::Nav>().get_page() == Page::ShowCode {
            self.hide_code(state);
        }
        self.window.global::<ui::Nav>().set_page(page);
    }

    fn back(&self, state: &mut State) {
        let has_event = self.window.global::<ui::EventAdapter>().get_has_event();
        match self.window.global::<ui::Nav>().get_page() {
            Page::Room => {
                self.leave_room(state);
                self.go(state, Page::Talks);
            }
            Page::ShowCode => self.go(state, Page::Room),
            Page::Draft => self.go(state, Page::Talks),
            Page::Scan => self.go(state, if has_event { Page::Talks } else { Page::Welcome }),
            Page::Welcome | Page::Around | Page::Talks | Page::Privacy | Page::Settings | Page::Stopped => {}
        }
    }

    fn listen_to_event(&self) {
        let event = self.window.global::<ui::EventAdapter>();
        event.on_open_file(self.when(|screens, state, text: SharedString| screens.read(state, &text)));
        event.on_paste(self.when(|screens, state, text: SharedString| screens.read(state, &text)));
        let mut practice = self.when(|screens, state, ()| {
            screens.window.global::<ui::EventAdapter>().set_is_working(true);
            (state.ask)(Wish::Practice);
        });
        event.on_practice(move || practice(()));
        // Of a practice nothing is kept: its end is that all of it is erased.
        let mut end = self.when(|_, state, ()| (state.ask)(Wish::EraseEverything));
        event.on_end_practice(move || end(()));
        let mut erase = self.when(|_, state, ()| (state.ask)(Wish::EraseEverything));
        self.window.global::<ui::PrivacyAdapter>().on_erase_everything(move || erase(()));
    }
}

/// The window, as long as it is there.
pub struct WeakScreens {
    window: std::rc::Weak<ui::AttendeeWindow>,
    state: std::rc::Weak<RefCell<State>>,
}

impl WeakScreens {
    /// The window, if it is still there.
    pub fn upgrade(&self) -> Option<Screens> {
        Some(Screens { window: self.window.upgrade()?, state: self.state.upgrade()? })
    }

    fn with(&self, act: impl FnOnce(&Screens, &mut State) -> bool) -> bool {
        self.upgrade().is_some_and(|screens| act(&screens, &mut screens.state.borrow_mut()))
    }
}

fn small(number: i32) -> u8 {
    u8::try_from(number).unwrap_or(0)
}
