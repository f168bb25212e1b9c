//! The board, and the card that is drafted for it.

use super::{Screens, State, small};
use crate::app::attendee::wish::{self, Act, Wish};
use crate::app::attendee::{paint, words};
use crate::proto::id::{CardId, TalkId};
use alcove_ui as ui;
use slint::{ComponentHandle, SharedString};

impl Screens {
    pub(super) fn show_board(&self, state: &State) {
        let filter = self.window.global::<ui::BoardAdapter>().get_filter();
        let cards = state.board.iter().filter(|card| paint::fits(card, &filter));
        state.cards.set(cards.map(|card| paint::card(card, &state.talks, state.hour)).collect());
    }

    pub(super) fn listen_to_board(&self) {
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
        self.window.global::<ui::AroundAdapter>().on_open(self.when(open));
        let mut post = self.when(|screens, state, ()| {
            let draft = screens.window.global::<ui::DraftAdapter>();
            let seats = (small(draft.get_seats_min()), small(draft.get_seats_max()));
            let terms = wish::terms(&draft.get_topic(), &draft.get_tags(), words::chosen(draft.get_pattern()), seats);
            (state.ask)(Wish::Node(Act::Post(terms, u32::from(small(draft.get_hours())))));
        });
        self.window.global::<ui::DraftAdapter>().on_post(move || post(()));
    }
}
