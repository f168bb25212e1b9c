//! One talk: who sits in it, what is said and planned there, and its end.

use super::{Screens, State, small};
use crate::app::attendee::editor::Editor;
use crate::app::attendee::snapshot::Snapshot;
use crate::app::attendee::wish::{Act, Wish};
use crate::app::attendee::{paint, words};
use crate::proto::handoff::code::Kind;
use crate::proto::id::{ItemId, LinkId, TalkId};
use crate::proto::notes::Edit;
use crate::proto::talk::entry::SeatNumber;
use alcove_ui::{self as ui, Page};
use slint::{ComponentHandle, Image, SharedString};

impl Screens {
    pub(super) fn show_room(&self, state: &mut State, snapshot: &Snapshot) {
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

    pub(super) fn enter(&self, state: &mut State, talk: TalkId) {
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

    pub(super) fn leave_room(&self, state: &mut State) {
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
        room.set_asks_to_close(false);
        self.window.global::<ui::CodeAdapter>().set_text(SharedString::new());
        self.window.global::<ui::CodeAdapter>().set_picture(Image::default());
    }

    pub(super) fn listen_to_room(&self) {
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

    pub(super) fn listen_to_plan(&self) {
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
}

/// A fresh name for an item of agenda or actions.
fn new_item() -> Option<ItemId> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).ok()?;
    Some(ItemId(id))
}
