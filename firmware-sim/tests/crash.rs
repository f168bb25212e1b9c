//! A phone that dies right after any of its durable writes, through founding, writing and closing: the talk ends well for all, nothing
//! it has sent is unknown to it afterwards, and nothing is left after the close.
//!
//! `ALCOVE_CUT=n` plays one cut.

use alcove::proto::id::TalkId;
use alcove::proto::node::view::State;
use alcove::proto::notes::Edit;
use alcove::proto::time::Duration;
use firmware_sim::checker::{converged, gone};
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, events, is_open, room, said, terms, text, view};

const COUNT: usize = 3;

/// By which way the phones reach each other.
#[derive(Clone, Copy, Debug)]
enum Medium {
    Links,
    Relay,
}

/// People who do what is next for them whenever their phone runs.
struct Play {
    network: Network,
    medium: Medium,
    victim: usize,
    talks: [Option<TalkId>; COUNT],
    /// What was acknowledged: it must not be lost.
    kept: Vec<String>,
    deaths: u32,
    dies_again: bool,
    may_close: bool,
}

impl Play {
    fn new(medium: Medium, victim: usize, cut: u64, dies_again: bool) -> Play {
        let mut network = Network::new(7, COUNT);
        for phone in 0..COUNT {
            match medium {
                Medium::Links => (0..phone).for_each(|other| network.connect(other, phone)),
                Medium::Relay => network.set_online(phone, true),
            }
        }
        network.run(S(1));
        network.crash(victim, Some(cut));
        Play { network, medium, victim, talks: [None; COUNT], kept: Vec::new(), deaths: 0, dies_again, may_close: false }
    }

    fn runs(&self, phone: usize) -> bool {
        self.network.phones[phone].node.is_some()
    }

    /// One round: everybody does what is next; half a second passes; the victim starts again if it died.
    fn round(&mut self) -> Result<(), String> {
        for phone in 0..COUNT {
            if self.runs(phone) {
                self.act(phone);
            }
        }
        self.network.run(Duration::from_millis(500));
        if self.runs(self.victim) { Ok(()) } else { self.revive() }
    }

    fn act(&mut self, phone: usize) {
        let Some(talk) = self.talks[phone].or_else(|| self.known(phone)) else {
            return self.begin(phone);
        };
        self.talks[phone] = Some(talk);
        if view(&self.network, phone, talk).is_some_and(|view| view.state == State::Drafted) {
            let _card = self.network.with(phone, |node| node.post_card(talk));
            return;
        }
        if !is_open(&self.network, phone, talk) {
            return;
        }
        let (word, note) = (format!("word-of-{phone}"), format!("note-of-{phone}. "));
        if !said(&self.network, phone, talk).contains(&word) {
            let done = self.network.with(phone, |node| node.say(talk, &word));
            if done.is_ok() && self.runs(phone) {
                self.kept.push(word);
            }
        } else if !text(&self.network, phone, talk).contains(&note) {
            let edit = Edit::Splice { at: 0, delete: 0, insert: note.clone() };
            let done = self.network.with(phone, |node| node.edit(talk, &[edit]).and_then(|()| node.flush(talk)));
            if done.is_ok() && self.runs(phone) {
                self.kept.push(note);
            }
        } else if self.may_close && !room(&self.network, phone, talk).is_voted {
            let _done = self.network.with(phone, |node| node.close(talk));
        }
    }

    /// The talk that a restarted phone shows.
    fn known(&self, phone: usize) -> Option<TalkId> {
        self.network.node(phone).talks().first().map(|view| view.talk)
    }

    fn begin(&mut self, phone: usize) {
        if phone == 0 {
            self.talks[0] = self.network.with(0, |node| node.draft_card(terms(3, 3))).ok();
        } else if let Some(card) = self.network.node(phone).board().first().map(|view| view.card) {
            self.talks[phone] = self.network.with(phone, |node| node.take_seat(card)).ok();
        }
        if !self.runs(phone) {
            self.talks[phone] = None;
        }
    }

    /// The victim starts alone, so that all it knows is what it remembers; then it meets the others again.
    fn revive(&mut self) -> Result<(), String> {
        self.deaths += 1;
        let victim = self.victim;
        let others: Vec<_> = (0..COUNT).filter(|other| *other != victim).collect();
        others.iter().for_each(|other| self.network.separate(victim, *other));
        self.network.set_online(victim, false);
        self.network.restart(victim);
        if self.deaths == 1 && self.dies_again {
            // And once more, soon after it met the others again.
            self.network.crash(victim, Some(3));
        }
        self.network.run(Duration::from_millis(50));
        if let Some(event) = events(&mut self.network, victim).into_iter().find(|event| format!("{event:?}").contains("Corrupt")) {
            return Err(format!("after the restart: {event:?}"));
        }
        self.check_sent()?;
        match self.medium {
            Medium::Links => others.iter().for_each(|other| self.network.connect(victim, *other)),
            Medium::Relay => self.network.set_online(victim, true),
        }
        Ok(())
    }

    /// Whatever the others have of the victim, the victim has too, unless it has erased all of it.
    fn check_sent(&self) -> Result<(), String> {
        let Some(talk) = self.talks[self.victim] else { return Ok(()) };
        let here = view(&self.network, self.victim, talk).and_then(|view| view.room);
        let is_erased = self.network.node(self.victim).receipts().iter().any(|receipt| receipt.talk == talk);
        for (other, talk) in (0..COUNT).filter(|other| *other != self.victim).filter_map(|o| Some((o, self.talks[o]?))) {
            let Some(there) = view(&self.network, other, talk).and_then(|view| view.room).filter(|_| !is_erased) else { continue };
            let word = format!("word-of-{}", self.victim);
            let note = format!("note-of-{}. ", self.victim);
            let knows_word = here.as_ref().is_some_and(|room| room.messages.iter().any(|message| message.text == word));
            if there.messages.iter().any(|message| message.text == word) && !knows_word {
                return Err(format!("phone {other} has {word:?}, who said it has not"));
            }
            if text(&self.network, other, talk).contains(&note)
                && !text(&self.network, self.victim, self.talks[self.victim].unwrap()).contains(&note)
            {
                return Err(format!("phone {other} has {note:?}, who wrote it has not"));
            }
            let (me, voted) = (
                there.seats.iter().find(|seat| here.as_ref().is_some_and(|h| h.seats.iter().any(|s| s.is_me && s.id == seat.id))),
                here.as_ref().is_some_and(|room| room.is_voted),
            );
            if me.is_some_and(|seat| seat.agreed) && !voted {
                return Err(format!("phone {other} has the victim's vote, who voted does not know"));
            }
        }
        Ok(())
    }

    fn members(&self) -> Option<Vec<(usize, TalkId)>> {
        (0..COUNT).map(|phone| Some((phone, self.talks[phone]?))).collect()
    }
}

/// Plays the talk to its end. Gives how often the victim died: 0 once the cut lies behind the last write.
fn play(medium: Medium, victim: usize, cut: u64, dies_again: bool) -> Result<u32, String> {
    let mut play = Play::new(medium, victim, cut, dies_again);
    let all: Vec<_> = (0..COUNT).flat_map(|phone| [format!("word-of-{phone}"), format!("note-of-{phone}. ")]).collect();
    for _ in 0..3_000 {
        play.round()?;
        let Some(members) = play.members().filter(|_| play.network.phones.iter().all(|phone| phone.node.is_some())) else {
            continue;
        };
        if !play.may_close && converged(&play.network, &members).is_ok() {
            let (said, text) = (said(&play.network, 0, members[0].1), text(&play.network, 0, members[0].1));
            let is_there = |word: &String| said.contains(word) || text.contains(&word[..]);
            if let Some(lost) = play.kept.iter().find(|word| !is_there(word)).filter(|_| said.len() == COUNT) {
                return Err(format!("{lost:?} was acknowledged and is lost"));
            }
            play.may_close = all.iter().all(is_there);
        }
        let planted: Vec<_> = all.iter().map(|text| &text[..]).collect();
        if play.may_close && gone(&play.network, &members, &planted).is_ok() {
            return Ok(play.deaths);
        }
    }
    let members = play.members().ok_or(format!("not everybody has the talk: {:?}", play.talks))?;
    let planted: Vec<_> = all.iter().map(|text| &text[..]).collect();
    let state = if play.may_close { gone(&play.network, &members, &planted) } else { converged(&play.network, &members) };
    let seen: Vec<_> = members
        .iter()
        .map(|(phone, talk)| {
            (
                view(&play.network, *phone, *talk).map(|v| (v.state, v.room.map(|r| (r.agreed, r.heads, r.epoch)))),
                play.network.node(*phone).receipts(),
            )
        })
        .collect();
    Err(format!("does not come to its end: {state:?}, {seen:?}"))
}

fn cut_everywhere(medium: Medium, victim: usize) {
    let only: Option<u64> = std::env::var("ALCOVE_CUT").ok().and_then(|cut| cut.parse().ok());
    let mut cut = only.unwrap_or(1);
    loop {
        let played = play(medium, victim, cut, false).and_then(|deaths| play(medium, victim, cut, true).map(|_| deaths));
        match played {
            Ok(0) => break,
            Ok(_) if only.is_some() => return,
            Ok(_) => cut += 1,
            Err(why) => panic!(
                "{medium:?}, phone {victim} dies after write {cut}: {why}\n\
                 replay: ALCOVE_CUT={cut} cargo test --workspace --test crash"
            ),
        }
    }
    eprintln!("{medium:?}, phone {victim}: {} cuts", cut - 1);
    assert!(cut > 20, "a talk takes more writes than this");
}

#[test]
fn a_host_among_neighbours_may_die_after_any_write() {
    cut_everywhere(Medium::Links, 0);
}

#[test]
fn a_guest_among_neighbours_may_die_after_any_write() {
    cut_everywhere(Medium::Links, 1);
}

#[test]
fn a_host_on_the_relay_may_die_after_any_write() {
    cut_everywhere(Medium::Relay, 0);
}

#[test]
fn a_guest_on_the_relay_may_die_after_any_write() {
    cut_everywhere(Medium::Relay, 1);
}
