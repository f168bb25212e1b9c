//! Certificates that are not what they seem, and a seat that tells two people two different things.

use crate::world::{assert_goes_on, betrayed, close, is_gone};
use alcove::proto::id::TalkId;
use alcove::proto::talk::close::{Certificate, ClosedSeat, SeatEnd, set_hash, vote};
use alcove::proto::talk::entry::{Body, Item, ProposalId, Vote};
use alcove::proto::talk::group::{Member, SeatKeys};
use alcove::proto::talk::rejoin::RejoinKey;
use firmware_sim::intruder::{Insider, Intruder};
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, view};
use std::collections::{BTreeMap, BTreeSet};

fn everybody(insider: &Insider) -> [u8; 32] {
    set_hash(&insider.room, insider.members.iter().map(|member| &member.seat))
}

/// Both honest ones agree; gives their votes as a member reads them, and their proposal.
fn honest_votes(
    insider: &mut Insider,
    end: &mut Intruder,
    network: &mut Network,
    talks: &[TalkId],
) -> (BTreeMap<u8, Vote>, ProposalId) {
    close(network, talks);
    end.run(network, S(10));
    let votes = insider.heard_votes(&end.parcels());
    let proposals: BTreeSet<_> = votes.values().map(|vote| vote.proposal).collect();
    assert_eq!((votes.len(), proposals.len()), (2, 1), "a member reads both votes");
    (votes, proposals.into_iter().next().unwrap())
}

#[test]
fn no_forged_certificate_ends_the_talk_and_the_true_one_does() {
    let (mut network, talks, mut insider) = betrayed(1);
    let mut end = Intruder::connect(&mut network, 0);
    let (honest, proposal) = honest_votes(&mut insider, &mut end, &mut network, &talks);
    let me = insider.number;
    let other = u8::from(me == 0);
    let set = everybody(&insider);
    let own = |insider: &Insider, proposal, set| vote(&insider.keys, &insider.room, proposal, set, &[7; 16]);
    let mine = own(&insider, proposal, set);
    let genuine = |mine: Vote| {
        let honest = honest.clone();
        move |number: u8, _| SeatEnd::Voted(honest.get(&number).unwrap_or(&mine).clone())
    };
    let whole = insider.certificate(genuine(mine.clone()));

    let forger = SeatKeys::generate(network.rng());
    let alone = set_hash(&insider.room, [insider.keys.id()].iter());
    let brought_back = |by: RejoinKey| {
        insider.certificate(|number, seat| match number == me {
            true => SeatEnd::Voted(own(&insider, proposal, alone)),
            false => SeatEnd::Replaced {
                by,
                newer: insider.keys.id(),
                signature: forger.sign("re-join", &[&insider.room, &seat.0, &insider.keys.id().0]).into(),
            },
        })
    };
    let named = |by: &SeatKeys| RejoinKey { key: forger.verifying_key(), hello: by.sign("entry", &[b"I am its key"]).into() };
    let without = |number: u8| {
        let mut fewer = whole.clone();
        fewer.seats.remove(usize::from(number));
        fewer
    };
    let mut exchanged = whole.clone();
    exchanged.seats[usize::from(other)].end = whole.seats[usize::from(me)].end.clone();
    let stranger = Member { seat: forger.id(), key: forger.verifying_key() };
    let mut added = whole.clone();
    added.seats.push(ClosedSeat {
        seat: stranger.seat,
        key: stranger.key,
        end: SeatEnd::Voted(vote(&forger, &insider.room, proposal, set, &[8; 16])),
    });
    let mut taken_over = whole.clone();
    taken_over.seats[usize::from(other)].key = forger.verifying_key();
    let elsewhere = {
        let set = set_hash(&[9; 16], insider.members.iter().map(|member| &member.seat));
        insider.certificate(genuine(vote(&insider.keys, &[9; 16], proposal, set, &[7; 16])))
    };
    let another = ProposalId(me, 77);
    let left = SeatEnd::Left(forger.sign("leave", &[]).into());
    let lonely = insider.certificate(|_, _| SeatEnd::Voted(own(&insider, proposal, alone))).seats;
    let forged = [
        (
            "a vote missing",
            insider.certificate(|number, _| honest.get(&number).map_or(left.clone(), |vote| SeatEnd::Voted(vote.clone()))),
        ),
        ("a seat left out", without(other)),
        ("the hostile seat left out", without(me)),
        ("only the hostile seat", Certificate { seats: lonely[usize::from(me)..=usize::from(me)].to_vec() }),
        ("nobody", Certificate { seats: Vec::new() }),
        ("two votes exchanged", exchanged),
        ("a stranger added", added),
        ("another key for a seat", taken_over),
        ("a vote for another room", elsewhere),
        ("a vote for another proposal", insider.certificate(genuine(own(&insider, another, set)))),
        ("a vote over fewer", insider.certificate(genuine(own(&insider, proposal, alone)))),
        ("all the others brought back as the forger, by its own word", brought_back(named(&forger))),
        ("all the others brought back as the forger, by the hostile seat's word", brought_back(named(&insider.keys))),
    ];
    for (name, certificate) in forged {
        let parcels = insider.certify(certificate);
        end.hand(&mut network, &parcels);
        end.run(&mut network, S(1));
        assert!((0..2).all(|phone| view(&network, phone, talks[phone]).is_some()), "{name}");
    }
    assert!(network.node(0).status().faults >= 13, "each was read and refused");
    let parcels = insider.certify(whole);
    end.hand(&mut network, &parcels);
    end.run(&mut network, S(10));
    assert!(is_gone(&network, &talks), "control: the true one");
}

#[test]
fn consent_that_was_kept_back_until_the_proposal_lapsed_closes_nothing() {
    let (mut network, talks, mut insider) = betrayed(2);
    let mut end = Intruder::connect(&mut network, 0);
    let (honest, proposal) = honest_votes(&mut insider, &mut end, &mut network, &talks);
    let mine = vote(&insider.keys, &insider.room, proposal, everybody(&insider), &[7; 16]);
    let whole = insider.certificate(|number, _| SeatEnd::Voted(honest.get(&number).unwrap_or(&mine).clone()));
    assert!(whole.holds(&insider.room), "control: in time it would have been the true one, as above");
    end.run(&mut network, S(11 * 60));
    let parcels = insider.certify(whole);
    end.hand(&mut network, &parcels);
    end.run(&mut network, S(10));
    assert!((0..2).all(|phone| view(&network, phone, talks[phone]).is_some()));
    assert_goes_on(&mut network, &talks, "it is not over");
}

#[test]
fn two_different_votes_of_one_seat_divide_nobody() {
    // To phone 0 the vote that completes the set, to phone 1 another one in the same place; then the other way round.
    for first in [0, 1] {
        let (mut network, talks, mut insider) = betrayed(3);
        let mut listener = Intruder::connect(&mut network, 0);
        let (_, proposal) = honest_votes(&mut insider, &mut listener, &mut network, &talks);
        network.separate(0, 1);
        let head = insider.log.head(insider.number);
        let set = everybody(&insider);
        let yes = vote(&insider.keys, &insider.room, proposal, set, &[7; 16]);
        let other = vote(&insider.keys, &insider.room, ProposalId(insider.number, 99), set, &[8; 16]);
        let items: [Item; 2] = [insider.entry_after(head, Body::Vote(yes)), insider.entry_after(head, Body::Vote(other))];
        let mut ends = [Intruder::connect(&mut network, first), Intruder::connect(&mut network, 1 - first)];
        for (end, item) in ends.iter_mut().zip(items) {
            let parcels = insider.say(&[item]);
            end.hand(&mut network, &parcels);
            end.run(&mut network, S(1));
        }
        assert!(view(&network, first, talks[first]).is_none(), "control: for whoever has all votes it is over");
        assert!(view(&network, 1 - first, talks[1 - first]).is_some(), "and for the other it is not yet");
        network.connect(0, 1);
        assert!(network.run_until(S(60), |n| is_gone(n, &talks)), "the certificate ends it for both");
    }
}
