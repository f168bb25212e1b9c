//! The window and what is behind it: which page and talk are shown, what was typed, and the way from a touch to a wish and from a look at
//! the node to the screen. It runs in the thread of the window, never waits, and decides nothing about talks.

use super::editor::{Caret, Editor};
use super::paint::{self, Rows};
use super::session::News;
use super::snapshot::Snapshot;
use super::wish::{self, Act, Done, Given, Wish};
use super::words;
use alcove::proto::handoff::code::Kind;
use alcove::proto::id::{CardId, ItemId, LinkId, TalkId};
use alcove::proto::io::{Event, HandoffEnd};
use alcove::proto::node::view::{CardView, NotesView, TalkView};
use alcove::proto::notes::Edit;
use alcove::proto::talk::entry::SeatNumber;
use alcove::shell::driver::Transport;
use alcove::shell::picture::{Correction, Qr};
use alcove_ui::{self as ui, Page, Word};
use slint::{ComponentHandle, Image, Rgb8Pixel, SharedPixelBuffer, SharedString, Timer, TimerMode};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// How long a sentence at the foot of the screen stays.
const TOAST: Duration = Duration::from_secs(7);
/// How long a code is on show before another takes its place, in seconds.
const CODE_SECONDS: i32 = 45;
/// Between two pictures of a moving code.
const FRAME: Duration = Duration::from_millis(160);

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
        };
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
                self.window.global::<ui::EventAdapter>().set_is_practice(is_practice);
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
        self.show_event(&snapshot, &state);
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

    fn show_event(&self, snapshot: &Snapshot, state: &State) {
        let event = self.window.global::<ui::EventAdapter>();
        event.set_has_event(snapshot.event.is_some());
        if let Some(joined) = &snapshot.event {
            event.set_name((&joined.name).into());
            event.set_place((&joined.place).into());
        }
        let nav = self.window.global::<ui::Nav>();
        if snapshot.event.is_some() && nav.get_page() == Page::Welcome {
            nav.set_page(Page::Talks);
        }
        let has_relay = snapshot.event.as_ref().is_some_and(|event| event.has_relay);
        let around = self.window.global::<ui::AroundAdapter>();
        around.set_nearby(paint::nearby(snapshot, state.lan_has_failed));
        around.set_neighbours(paint::int(snapshot.status.neighbours));
        let online = words::online(&snapshot.situation, has_relay);
        around.set_online(online);
        around.set_relay_on(!matches!(online, ui::Online::None | ui::Online::Off));
        around.set_lan_on(snapshot.situation.lan == Some(true));
        around.set_carried(paint::int(snapshot.status.carried.0));
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

    fn show_board(&self, state: &State) {
        let filter = self.window.global::<ui::BoardAdapter>().get_filter();
        let cards = state.board.iter().filter(|card| paint::fits(card, &filter));
        state.cards.set(cards.map(|card| paint::card(card, &state.talks, state.hour)).collect());
    }

    fn show_room(&self, state: &mut State, snapshot: &Snapshot) {
        let Some(id) = state.talk else { return };
        let nav = self.window.global::<ui::Nav>();
        let Some(talk) = state.talks.iter().find(|talk| talk.talk == id).cloned() else {
            // It is over: nothing of it stays on the screen either.
            self.leave_room(state);
            if matches!(nav.get_page(), Page::Room | Page::ShowCode) {
                nav.set_page(Page::Talks);
            }
            return;
        };
        let view = self.window.global::<ui::RoomAdapter>();
        view.set_id(id.to_string().into());
        view.set_topic((&talk.topic).into());
        view.set_persona((&talk.persona).into());
        view.set_letters(paint::letters(&talk.persona));
        view.set_state(words::state(&talk));
        view.set_taken(talk.taken.map_or(-1, i32::from));
        view.set_seats_min(talk.seats_min.into());
        let Some(room) = &talk.room else { return };
        let me = room.seats.iter().find(|seat| seat.is_me);
        view.set_seat(me.map_or(0, |me| me.number.into()));
        view.set_at_table(me.is_some_and(|me| me.at_table));
        view.set_agreed(paint::int(room.agreed.0));
        view.set_agree_of(paint::int(room.agreed.1));
        view.set_is_voted(room.is_voted);
        view.set_is_read_only(room.is_read_only);
        view.set_is_resting(room.is_resting);
        view.set_is_chair(room.is_chair);
        view.set_may_write(!room.is_voted && !room.is_read_only && !room.is_locked);
        view.set_contact(words::contact(room.contact));
        view.set_fingerprint((&room.fingerprint).into());
        view.set_my_words(SharedString::new());
        state.seats.set(paint::seats(room));
        state.messages.set(paint::messages(room));
        let newcomer = |link: &LinkId| {
            let [one, two] = state.newcomers.get(link)?.clone();
            Some(ui::NewcomerItem { id: link.0.to_string().into(), word_one: one.into(), word_two: two.into() })
        };
        state.waiting.set(room.newcomers.iter().filter_map(newcomer).collect());
        if let Some((_, notes)) = snapshot.notes.as_ref().filter(|(of, _)| *of == id) {
            state.agenda.set(paint::agenda(&notes.notes));
            state.actions.set(paint::actions(&notes.notes, room));
            self.show_notes(state, notes, snapshot.edits_done);
        }
    }

    fn show_notes(&self, state: &mut State, notes: &NotesView, edits_done: u64) {
        let caret = state.editor.caret();
        let replaced = state.editor.show(&notes.notes.text, edits_done);
        let has_other_looks =
            state.notes.as_ref().is_none_or(|before| before.notes.marks != notes.notes.marks || before.previews != notes.previews);
        state.notes = Some(notes.clone());
        let adapter = self.window.global::<ui::NotesAdapter>();
        adapter.set_words(paint::int(notes.notes.text.split_whitespace().count()));
        adapter.set_waiting(paint::int(notes.waiting));
        // The paragraph that is written in shows what it was given when the cursor came, so it is told when others wrote in it.
        let after = state.editor.caret();
        let is_touched = after.zip(replaced.as_ref()).is_some_and(|(caret, rows)| rows.new.contains(&caret.row));
        match replaced {
            _ if has_other_looks || state.blocks.iter().next().is_none() => {
                state.blocks.set(state.blocks_of(0..state.editor.rows().len()))
            }
            Some(replaced) => state.blocks.replace(replaced.old, state.blocks_of(replaced.new).into_iter()),
            None => {}
        }
        if after != caret || is_touched {
            self.place_cursor(state);
        }
    }

    /// Puts the cursor where the editor says.
    fn place_cursor(&self, state: &State) {
        let adapter = self.window.global::<ui::NotesAdapter>();
        match state.editor.caret() {
            Some(Caret { row, byte }) => {
                adapter.set_cursor(paint::int(byte));
                adapter.set_row(paint::int(row));
                adapter.set_cursor_set(adapter.get_cursor_set().wrapping_add(1));
            }
            None => adapter.set_row(-1),
        }
    }

    fn leave_room(&self, state: &mut State) {
        if state.talk.take().is_some() {
            (state.ask)(Wish::Look(None));
        }
        state.notes = None;
        state.editor = Editor::default();
        state.code = None;
        state.clock.stop();
        state.seats.set(Vec::new());
        state.messages.set(Vec::new());
        state.agenda.set(Vec::new());
        state.actions.set(Vec::new());
        state.blocks.set(Vec::new());
        self.window.global::<ui::NotesAdapter>().set_row(-1);
        let room = self.window.global::<ui::RoomAdapter>();
        room.set_topic(SharedString::new());
        room.set_draft(SharedString::new());
        self.window.global::<ui::CodeAdapter>().set_text(SharedString::new());
        self.window.global::<ui::CodeAdapter>().set_picture(Image::default());
    }

    /// Takes what the node tells.
    pub fn told(&self, event: &Event) {
        let mut state = self.state.borrow_mut();
        match event {
            Event::TalkOpened(talk) => {
                state.news.insert(*talk);
                self.say(&state, Word::TalkOpened);
            }
            Event::Said(talk) | Event::NotesChanged(talk) if state.talk != Some(*talk) => {
                state.news.insert(*talk);
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
            }
            Event::RecordCorrupt(_) => self.say(&state, Word::RecordCorrupt),
            Event::TalkChanged(_)
            | Event::Said(_)
            | Event::NotesChanged(_)
            | Event::NeighboursChanged
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

    fn say(&self, state: &State, word: Word) {
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

    fn show_code(&self, state: &State, text: &str) {
        let code = self.window.global::<ui::CodeAdapter>();
        code.set_text(text.into());
        code.set_picture(picture(text));
        code.set_is_animated(false);
        code.set_seconds_left(CODE_SECONDS);
        let window = self.window.as_weak();
        state.clock.start(TimerMode::Repeated, Duration::from_secs(1), move || {
            if let Some(window) = window.upgrade() {
                let code = window.global::<ui::CodeAdapter>();
                code.set_seconds_left((code.get_seconds_left() - 1).max(0));
            }
        });
    }

    fn show_frames(&self, state: &State, sender: &alcove::proto::handoff::fountain::Sender) {
        let code = self.window.global::<ui::CodeAdapter>();
        code.set_is_animated(true);
        code.set_frames(paint::int(sender.frames_needed()));
        // Round and round, with spare ones in each round.
        let frames: Vec<String> = sender.frames().take(sender.frames_needed() * 3 + 8).collect();
        let (window, mut number) = (self.window.as_weak(), 0_usize);
        state.clock.start(TimerMode::Repeated, FRAME, move || {
            if let Some(window) = window.upgrade() {
                let code = window.global::<ui::CodeAdapter>();
                code.set_picture(picture(&frames[number % frames.len()]));
                number += 1;
                code.set_frame(paint::int(number));
            }
        });
    }

    fn enter(&self, state: &mut State, talk: TalkId) {
        if state.talk != Some(talk) {
            self.leave_room(state);
            state.talk = Some(talk);
        }
        state.news.remove(&talk);
        let scan = self.window.global::<ui::ScanAdapter>();
        scan.set_word_one(SharedString::new());
        scan.set_word_two(SharedString::new());
        scan.set_text(SharedString::new());
        let nav = self.window.global::<ui::Nav>();
        nav.set_part(ui::Part::Talk);
        nav.set_page(Page::Room);
        (state.ask)(Wish::Look(Some(talk)));
    }

    // ---- from the person ---------------------------------------------------------------------------------------------------------------

    fn listen(&self) {
        self.listen_to_navigation();
        self.listen_to_event();
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

    fn hide_code(&self, state: &mut State) {
        state.clock.stop();
        state.code = None;
        self.window.global::<ui::CodeAdapter>().set_is_animated(false);
        self.window.global::<ui::CodeAdapter>().set_picture(Image::default());
        self.window.global::<ui::CodeAdapter>().set_text(SharedString::new());
        if let Some(talk) = state.talk {
            (state.ask)(Wish::Node(Act::HideCode(talk)));
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
        let around = self.window.global::<ui::AroundAdapter>();
        around.on_switch_lan(self.when(|_, state, on| (state.ask)(Wish::Switch(Transport::Lan, on))));
        around.on_switch_relay(self.when(|_, state, on| (state.ask)(Wish::Switch(Transport::Relay, on))));
        let mut erase = self.when(|_, state, ()| (state.ask)(Wish::EraseEverything));
        self.window.global::<ui::PrivacyAdapter>().on_erase_everything(move || erase(()));
    }

    /// A path or the text of a code, whichever was typed.
    fn read(&self, state: &State, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        self.window.global::<ui::EventAdapter>().set_is_working(true);
        self.window.global::<ui::ScanAdapter>().set_is_working(true);
        (state.ask)(Wish::Read(Given::of(text)));
    }

    fn listen_to_board(&self) {
        let board = self.window.global::<ui::BoardAdapter>();
        board.on_filter_edited(self.when(|screens, state, _: SharedString| screens.show_board(state)));
        board.on_interests_edited(
            self.when(|_, state, tags: SharedString| (state.ask)(Wish::Node(Act::SetInterests(wish::tags_of(&tags))))),
        );
        board.on_take_seat(self.when(|_, state, id: SharedString| {
            if let Some(card) = CardId::from_hex(&id) {
                (state.ask)(Wish::Node(Act::TakeSeat(card)));
            }
        }));
        let open = |screens: &Screens, state: &mut State, id: SharedString| {
            if let Some(talk) = TalkId::from_hex(&id) {
                screens.enter(state, talk);
            }
        };
        board.on_open(self.when(open));
        self.window.global::<ui::TalksAdapter>().on_open(self.when(open));
        let mut post = self.when(|screens, state, ()| {
            let draft = screens.window.global::<ui::DraftAdapter>();
            let seats = (small(draft.get_seats_min()), small(draft.get_seats_max()));
            let terms = wish::terms(&draft.get_topic(), &draft.get_tags(), words::chosen(draft.get_pattern()), seats);
            (state.ask)(Wish::Node(Act::Post(terms, u32::from(small(draft.get_hours())))));
        });
        self.window.global::<ui::DraftAdapter>().on_post(move || post(()));
    }

    fn listen_to_room(&self) {
        let room = self.window.global::<ui::RoomAdapter>();
        // A wish about the talk on the screen.
        fn of_talk<A: 'static>(screens: &Screens, act: impl Fn(TalkId, A) -> Act + 'static) -> impl FnMut(A) + 'static {
            screens.when(move |_, state, touched| {
                if let Some(talk) = state.talk {
                    (state.ask)(Wish::Node(act(talk, touched)));
                }
            })
        }
        room.on_say(self.when(|screens, state, text: SharedString| {
            if let Some(talk) = state.talk {
                screens.window.global::<ui::RoomAdapter>().set_draft(SharedString::new());
                (state.ask)(Wish::Node(Act::Say(talk, text.to_string())));
            }
        }));
        let (mut close, mut leave) = (of_talk(self, |talk, ()| Act::Close(talk)), of_talk(self, |talk, ()| Act::Leave(talk)));
        let (mut withdraw, mut strike) =
            (of_talk(self, |talk, ()| Act::Withdraw(talk)), of_talk(self, |talk, ()| Act::Strike(talk)));
        let mut leave_table = of_talk(self, |talk, ()| Act::LeaveTable(talk));
        room.on_close(move || close(()));
        room.on_leave(move || leave(()));
        room.on_withdraw(move || withdraw(()));
        room.on_strike(move || strike(()));
        room.on_leave_table(move || leave_table(()));
        let mut hide = of_talk(self, |talk, (seat, hidden)| Act::Hide(talk, seat, hidden));
        room.on_hide(move |seat, hidden| hide((SeatNumber::from(small(seat)), hidden)));
        room.on_remove(of_talk(self, |talk, seat| Act::Remove(talk, SeatNumber::from(small(seat)))));
        room.on_report(of_talk(self, |_, text: SharedString| Act::Report(text.to_string())));
        let mut admit = of_talk(self, |_, (link, admitted)| Act::Admit(link, admitted));
        room.on_admit(move |link, admitted| {
            if let Ok(link) = link.parse() {
                admit((LinkId(link), admitted));
            }
        });
        let mut show_code = self.when(|screens, state, ()| {
            if let Some(talk) = state.talk {
                state.code = Some(Kind::Members);
                screens.window.global::<ui::CodeAdapter>().set_for_newcomer(false);
                screens.window.global::<ui::Nav>().set_page(Page::ShowCode);
                (state.ask)(Wish::Node(Act::ShowCode(talk, Kind::Members)));
            }
        });
        room.on_show_code(move || show_code(()));
    }

    fn listen_to_plan(&self) {
        let room = self.window.global::<ui::RoomAdapter>();
        fn plan<A: 'static>(screens: &Screens, edit: impl Fn(A) -> Option<Edit> + 'static) -> impl FnMut(A) + 'static {
            screens.when(move |_, state, touched| {
                if let (Some(talk), Some(edit)) = (state.talk, edit(touched)) {
                    (state.ask)(Wish::Node(Act::Plan(talk, edit)));
                }
            })
        }
        let mut add = plan(self, |(text, minutes): (SharedString, i32)| {
            Some(Edit::AddAgenda { id: new_item()?, text: text.to_string(), minutes: u16::try_from(minutes).unwrap_or(0) })
        });
        room.on_add_agenda(move |text, minutes| add((text, minutes)));
        let mut set = plan(self, |(id, done): (SharedString, bool)| {
            Some(Edit::SetAgenda { id: ItemId::from_hex(&id)?, text: None, minutes: None, done: Some(done) })
        });
        room.on_set_agenda(move |id, done| set((id, done)));
        room.on_remove_agenda(plan(self, |id: SharedString| Some(Edit::RemoveAgenda { id: ItemId::from_hex(&id)? })));
        room.on_add_action(plan(self, |text: SharedString| {
            Some(Edit::AddAction { id: new_item()?, text: text.to_string(), owner: None })
        }));
        let mut set = plan(self, |(id, done): (SharedString, bool)| {
            Some(Edit::SetAction { id: ItemId::from_hex(&id)?, text: None, owner: None, done: Some(done) })
        });
        room.on_set_action(move |id, done| set((id, done)));
        room.on_remove_action(plan(self, |id: SharedString| Some(Edit::RemoveAction { id: ItemId::from_hex(&id)? })));
        room.on_take_action(self.when(|_, state, id: SharedString| {
            if let (Some(talk), Some(id)) = (state.talk, ItemId::from_hex(&id)) {
                (state.ask)(Wish::Node(Act::TakeAction(talk, id)));
            }
        }));
    }

    fn listen_to_notes(&self) {
        let notes = self.window.global::<ui::NotesAdapter>();
        let mut edited = self.when(|screens, state, (row, text, byte): (i32, SharedString, i32)| {
            let typed = state.editor.typed(count(row), &text, count(byte));
            screens.typed(state, typed, Some(count(row)));
        });
        notes.on_edited(move |row, text, byte| edited((row, text, byte)));
        let mut focused = self.when(|screens, state, (row, byte): (i32, i32)| {
            state.editor.place(Some(Caret { row: count(row), byte: usize::try_from(byte).unwrap_or(usize::MAX) }));
            screens.place_cursor(state);
        });
        notes.on_focused(move |row, byte| focused((row, byte)));
        let mut moved = self.when(|_, state, (row, byte): (i32, i32)| {
            state.editor.place(Some(Caret { row: count(row), byte: count(byte) }));
        });
        notes.on_moved(move |row, byte| moved((row, byte)));
        let joined = self.downgrade();
        notes.on_backspace(move |row| {
            joined.with(|screens, state| {
                let joined = state.editor.join_before(count(row));
                let is_joined = joined.is_some();
                screens.typed(state, joined, None);
                is_joined
            })
        });
        for down in [false, true] {
            let stepped = self.downgrade();
            let step = move |row: i32, byte: i32| {
                stepped.with(|screens, state| {
                    // Within a paragraph the toolkit moves the cursor by itself; at its ends the cursor leaves it.
                    let paragraph = state.editor.rows().get(count(row)).map_or(0, String::len);
                    let is_at_end = if down { count(byte) == paragraph } else { byte == 0 };
                    let is_done = is_at_end && state.editor.step(count(row), down);
                    if is_done {
                        screens.place_cursor(state);
                    }
                    is_done
                })
            };
            if down { notes.on_down(step) } else { notes.on_up(step) }
        }
        let mut undo = self.when(|_, state, ()| {
            if let Some(talk) = state.talk {
                (state.ask)(Wish::Node(Act::Undo(talk)));
            }
        });
        notes.on_undo(move || undo(()));
        let mut embolden = self.when(|_, state, (row, from, to): (i32, i32, i32)| {
            if let (Some(talk), Some(stretch)) = (state.talk, state.editor.stretch(count(row), count(from), count(to))) {
                let is_bold = state.notes.as_ref().is_some_and(|notes| {
                    notes
                        .notes
                        .marks
                        .iter()
                        .any(|mark| mark.name == wish::BOLD && mark.start <= stretch.start && stretch.end <= mark.end)
                });
                (state.ask)(Wish::Node(Act::Embolden(talk, stretch, !is_bold)));
            }
        });
        notes.on_embolden(move |row, from, to| embolden((row, from, to)));
    }

    /// Sends an edit on its way and shows it at once. The paragraph in which it was typed shows it already.
    fn typed(&self, state: &mut State, typed: Option<(super::editor::Edit, super::editor::Replaced)>, row: Option<usize>) {
        let (Some(talk), Some((edit, replaced))) = (state.talk, typed) else { return };
        let stays = row.is_some_and(|row| replaced.old == (row..row + 1) && replaced.new == replaced.old);
        state.blocks.replace(replaced.old, state.blocks_of(replaced.new).into_iter());
        if !stays {
            self.place_cursor(state);
        }
        (state.ask)(Wish::Node(Act::Edit(talk, edit)));
    }

    fn listen_to_codes(&self) {
        let code = self.window.global::<ui::CodeAdapter>();
        code.on_choose(self.when(|screens, state, for_newcomer| {
            if let Some(talk) = state.talk {
                let kind = if for_newcomer { Kind::Newcomers } else { Kind::Members };
                state.code = Some(kind);
                screens.window.global::<ui::CodeAdapter>().set_for_newcomer(for_newcomer);
                (state.ask)(Wish::Node(Act::ShowCode(talk, kind)));
            }
        }));
        code.on_animate(self.when(|_, state, on| {
            if let Some(talk) = state.talk {
                let act = if on { Act::Animate(talk) } else { Act::ShowCode(talk, state.code.unwrap_or(Kind::Members)) };
                (state.ask)(Wish::Node(act));
            }
        }));
        let mut done = self.when(|screens, state, ()| screens.back(state));
        code.on_done(move || done(()));
        let scan = self.window.global::<ui::ScanAdapter>();
        scan.on_picture(self.when(|screens, state, path: SharedString| {
            screens.window.global::<ui::ScanAdapter>().set_is_working(true);
            (state.ask)(Wish::Read(Given::Path(path.trim().into())));
        }));
        scan.on_paste(self.when(|screens, state, text: SharedString| screens.read(state, &text)));
        let mut cancel = self.when(|screens, state, ()| screens.back(state));
        scan.on_cancel(move || cancel(()));
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

impl State {
    fn blocks_of(&self, rows: std::ops::Range<usize>) -> Vec<ui::BlockItem> {
        let room = self.talk.and_then(|id| self.talks.iter().find(|talk| talk.talk == id)).and_then(|talk| talk.room.as_ref());
        let (Some(room), Some(notes)) = (room, &self.notes) else { return Vec::new() };
        let paragraphs = self.editor.rows().iter().zip(self.editor.row_starts()).take(rows.end).skip(rows.start);
        paragraphs.map(|(text, (start, _))| paint::block(text, start, &notes.notes.marks, notes, room)).collect()
    }
}

/// A code as a picture, a point for each module.
fn picture(text: &str) -> Image {
    let Ok(luma) = Qr::new(text, Correction::Medium).and_then(|qr| qr.luma(1)) else { return Image::default() };
    let mut pixels = SharedPixelBuffer::<Rgb8Pixel>::new(luma.width as u32, luma.height as u32);
    for (pixel, level) in pixels.make_mut_slice().iter_mut().zip(&luma.pixels) {
        *pixel = Rgb8Pixel { r: *level, g: *level, b: *level };
    }
    Image::from_rgb8(pixels)
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn small(number: i32) -> u8 {
    u8::try_from(number).unwrap_or(0)
}

/// A fresh name for an item of agenda or actions.
fn new_item() -> Option<ItemId> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).ok()?;
    Some(ItemId(id))
}
