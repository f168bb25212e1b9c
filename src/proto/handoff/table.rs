//! The codes on our screen, the codes we scanned, and who stands at the table until it is proven who belongs there.
//!
//! Laws: a code is replaced every 45 s and after each use, and opens one handshake; after the handshake both sides prove that they
//! sit in the same talk, or the same two words are shown and a person decides; until then nothing about the talk is said.

use super::ask::{self, Ask};
use super::code::{Code, Kind, OneTime};
use crate::proto::config::{CODE_FRESH, CODE_GRACE, NEWCOMERS_MAX};
use crate::proto::cx::Cx;
use crate::proto::id::{DialId, LinkId, TalkId};
use crate::proto::link::{Invitation, Scanned};
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use crate::proto::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// All handoffs of this device.
#[derive(Default)]
pub struct Table {
    shown: BTreeMap<TalkId, Vec<Shown>>,
    scanned: BTreeMap<DialId, ScannedCode>,
    standing: BTreeMap<LinkId, Standing>,
    next_dial: u64,
}

struct Shown {
    secret: Key,
    psk: Key,
    bytes: Vec<u8>,
    code: Code,
    kind: Kind,
    fresh_until: Instant,
    until: Instant,
}

struct ScannedCode {
    newcomers: bool,
    public: [u8; 32],
    psk: Key,
    bytes: Vec<u8>,
    /// Our one-time key, to ask over a standing link.
    private: Key,
    /// It is looked for among the neighbours until then; before that, its address is dialled.
    asked_until: Option<Instant>,
}

/// Who stands on a link that a code opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// We show; the other has yet to prove its seat.
    Shows {
        /// Which talk.
        talk: TalkId,
        /// Whether newcomers may come by this code.
        newcomers: bool,
    },
    /// We show; a newcomer waits to be admitted.
    Newcomer {
        /// To which talk.
        talk: TalkId,
        /// Its encoded offer.
        offer: Vec<u8>,
    },
    /// We scanned; the other has yet to prove its talk.
    Scans {
        /// Whether the code lets newcomers come.
        newcomers: bool,
    },
    /// We scanned and are a newcomer.
    Knocks {
        /// Our own name for what we wait for.
        talk: TalkId,
    },
}

impl Table {
    /// The code to show for a talk now: the fresh one, or a new one.
    pub fn show(&mut self, cx: &mut Cx<'_>, talk: TalkId, kind: Kind, address: Option<SocketAddrV4>) -> String {
        let now = cx.now;
        let shown = self.shown.entry(talk).or_default();
        shown.retain(|shown| shown.until > now);
        let fresh = shown.iter().find(|shown| shown.fresh_until > now && shown.kind == kind && shown.code.address == address);
        if let Some(fresh) = fresh {
            return fresh.code.to_text().to_string();
        }
        let one_time = OneTime::new(cx.rng);
        let code = one_time.code(kind, cx.wall + CODE_FRESH + CODE_GRACE, address, cx.event.id);
        let text = code.to_text().to_string();
        let (secret, psk, bytes) = (Key(*one_time.private_key()), one_time.psk(), code.to_bytes().to_vec());
        shown.push(Shown { secret, psk, bytes, code, kind, fresh_until: now + CODE_FRESH, until: now + CODE_FRESH + CODE_GRACE });
        text
    }

    /// No more codes for this talk.
    pub fn hide(&mut self, talk: TalkId) {
        self.shown.remove(&talk);
    }

    /// Nothing of this talk any more; gives the links on which somebody stood for it.
    pub fn forget(&mut self, talk: TalkId) {
        self.hide(talk);
        self.standing.retain(|_, standing| match standing {
            Standing::Shows { talk: of, .. } | Standing::Newcomer { talk: of, .. } | Standing::Knocks { talk: of } => *of != talk,
            Standing::Scans { .. } => true,
        });
    }

    /// Every code that still opens a handshake.
    pub fn invitations(&self) -> Vec<Invitation<'_>> {
        self.all().map(|(_, shown)| Invitation { secret: &shown.secret, psk: &shown.psk, code: &shown.bytes }).collect()
    }

    /// This code was used: it is burned. Gives its talk; `None` if another handshake has burned it meanwhile.
    pub fn burn(&mut self, code: &[u8], link: LinkId) -> Option<TalkId> {
        let (talk, kind) = self.all().find(|(_, shown)| shown.bytes == code).map(|(talk, shown)| (*talk, shown.kind))?;
        self.shown.get_mut(&talk)?.retain(|shown| shown.bytes != code);
        self.standing.insert(link, Standing::Shows { talk, newcomers: kind == Kind::Newcomers });
        Some(talk)
    }

    /// A code was scanned: gives the dial by which its device is to be reached.
    pub fn scan(&mut self, rng: &mut Rng, code: &Code) -> DialId {
        let dial = DialId(self.next_dial);
        self.next_dial += 1;
        self.scanned.insert(
            dial,
            ScannedCode {
                newcomers: code.kind == Kind::Newcomers,
                public: code.public_key,
                psk: code.psk(),
                bytes: code.to_bytes().to_vec(),
                private: Key(rng.bytes()),
                asked_until: None,
            },
        );
        dial
    }

    /// Its device cannot be dialled: until then it is looked for among the neighbours, and those to come.
    pub fn search(&mut self, dial: DialId, until: Instant) {
        if let Some(code) = self.scanned.get_mut(&dial) {
            code.asked_until = Some(until);
        }
    }

    /// What to ask on a link with this handshake hash.
    pub fn questions(&self, link: &[u8; 32]) -> Vec<Ask> {
        let searched = self.scanned.values().filter(|code| code.asked_until.is_some());
        searched.map(|code| Ask::new(&code.psk, &code.private, link)).collect()
    }

    /// Somebody asks for a code: gives its bytes and the answer, if it is one of ours.
    pub fn answer(&self, link: &[u8; 32], ask: &Ask) -> Option<(Vec<u8>, [u8; 32])> {
        self.all().find_map(|(_, shown)| Some((shown.bytes.clone(), ask.answer(&shown.psk, &shown.secret, link)?)))
    }

    /// Whose question this answers.
    pub fn answered(&self, link: &[u8; 32], answer: &[u8; 32]) -> Option<DialId> {
        let is_answer = |code: &ScannedCode| ask::is_answer(&code.psk, &code.private, &code.public, link, answer);
        let searched = self.scanned.iter().filter(|(_, code)| code.asked_until.is_some());
        searched.filter(|(_, code)| is_answer(code)).map(|(dial, _)| *dial).next()
    }

    /// Codes whose device was looked for in vain.
    pub fn give_up(&mut self, now: Instant) -> Vec<DialId> {
        let over = |code: &ScannedCode| code.asked_until.is_some_and(|until| until <= now);
        let over: Vec<_> = self.scanned.iter().filter(|(_, code)| over(code)).map(|(dial, _)| *dial).collect();
        over.iter().for_each(|dial| drop(self.scanned.remove(dial)));
        over
    }

    /// The code behind a dial that got through.
    pub fn scanned(&self, dial: DialId) -> Option<Scanned<'_>> {
        self.scanned.get(&dial).map(|code| Scanned { public: &code.public, psk: &code.psk, code: &code.bytes })
    }

    /// The dial got through on this link, or (`None`) did not.
    pub fn dialed(&mut self, dial: DialId, link: Option<LinkId>) -> bool {
        let Some(code) = self.scanned.remove(&dial) else { return false };
        if let Some(link) = link {
            self.standing.insert(link, Standing::Scans { newcomers: code.newcomers });
        }
        true
    }

    /// Who stands on a link.
    pub fn standing(&self, link: LinkId) -> Option<&Standing> {
        self.standing.get(&link)
    }

    /// Somebody moves on; `None`: the matter is settled. False if too many newcomers wait.
    pub fn stand(&mut self, link: LinkId, standing: Option<Standing>) -> bool {
        let waiting = self.standing.values().filter(|standing| matches!(standing, Standing::Newcomer { .. })).count();
        match standing {
            Some(Standing::Newcomer { .. }) if waiting >= NEWCOMERS_MAX => return false,
            Some(standing) => self.standing.insert(link, standing),
            None => self.standing.remove(&link),
        };
        true
    }

    /// Newcomers who wait for this talk.
    pub fn newcomers(&self, talk: TalkId) -> Vec<LinkId> {
        let waits = |standing: &Standing| matches!(standing, Standing::Newcomer { talk: of, .. } if *of == talk);
        self.standing.iter().filter(|(_, standing)| waits(standing)).map(|(link, _)| *link).collect()
    }

    /// Drops codes that are over; gives the talks whose code on the screen is no longer fresh.
    pub fn tick(&mut self, now: Instant) -> Vec<TalkId> {
        let mut stale = Vec::new();
        self.shown.retain(|talk, shown| {
            shown.retain(|shown| shown.until > now);
            let newest = shown.last_mut();
            if newest.as_ref().is_none_or(|newest| newest.fresh_until <= now) {
                stale.push(*talk);
            }
            if let Some(newest) = newest.filter(|newest| newest.fresh_until <= now) {
                // Said once: from here on only its grace runs.
                newest.fresh_until = newest.until;
            }
            !shown.is_empty()
        });
        stale
    }

    /// When [`Table::tick`] has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let searched = self.scanned.values().filter_map(|code| code.asked_until);
        self.all().map(|(_, shown)| shown.fresh_until.min(shown.until)).chain(searched).min()
    }

    fn all(&self) -> impl Iterator<Item = (&TalkId, &Shown)> {
        self.shown.iter().flat_map(|(talk, shown)| shown.iter().rev().map(move |shown| (talk, shown)))
    }
}
