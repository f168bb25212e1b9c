//! The attendee's screens, used as a person uses them: by what they say, with mock time, over nodes on the simulator's network.

mod ui_support;

use alcove::app::attendee::settings::Settings;
use alcove::app::attendee::snapshot::{Snapshot, Wanted};
use alcove::proto::board::{Pattern, Terms};
use alcove::proto::id::CardId;
use alcove::proto::node::view::CardView;
use alcove::proto::time::Duration;
use alcove::shell::driver::Situation;
use alcove::shell::picture::{Correction, Qr};
use alcove_ui::{Page, Part, Word};
use firmware_sim::scenario::{S, number, post, room, terms};
use slint::ComponentHandle;
use ui_support::{Scene, init};

#[test]
fn journey_10_a_letter_typed_by_one_is_on_the_others_screen_and_both_write_on() {
    init();
    let mut scene = Scene::in_a_room(2);
    scene.on(0).tap("Notes");
    scene.on(1).tap("Notes");
    scene.on(0).tap("Begin to write");
    scene.on(0).type_text("Häuser 🦆");
    assert_eq!(scene.on(0).paragraphs(), ["Häuser 🦆"], "one's own letters are there at once");
    scene.pass(S(5));
    assert_eq!(scene.on(1).paragraphs(), ["Häuser 🦆"]);
    // The cursor of the one stays where it is while the other writes above it.
    scene.on(1).focus_paragraph(0, 0);
    scene.on(1).type_text("Erst das\n");
    scene.pass(S(5));
    assert_eq!(scene.on(0).paragraphs(), ["Erst das", "Häuser 🦆"]);
    scene.on(0).type_text("!");
    scene.pass(S(5));
    for person in 0..2 {
        assert_eq!(scene.on(person).paragraphs(), ["Erst das", "Häuser 🦆!"]);
    }
}

#[test]
fn all_that_one_types_is_on_the_others_screen_before_it_is_a_change() {
    init();
    let mut scene = Scene::in_a_room(2);
    scene.on(0).tap("Notes");
    scene.on(1).tap("Notes");
    scene.on(0).tap("Begin to write");
    scene.on(0).type_text("Standups");
    scene.pass(S(5));
    let talk = scene.network.node(1).talks()[0].talk;
    for (letter, typed) in [('x', "x"), ('x', "xx"), ('y', "xxy")] {
        scene.on(0).press(letter);
        scene.settle();
        scene.network.run(Duration::from_millis(200));
        scene.settle();
        assert_eq!(scene.on(1).paragraphs(), ["Standups"], "no change yet");
        let previews = scene.network.node(1).notes(talk).expect("notes").previews;
        let seen: Vec<_> = previews.iter().map(|(_, at, delete, insert)| (*at, *delete, &insert[..])).collect();
        assert_eq!(seen, [(8, 0, typed)]);
    }
    scene.pass(S(5));
    assert_eq!(scene.on(1).paragraphs(), ["Standupsxxy"]);
}

#[test]
fn journey_10_what_two_wrote_apart_for_ten_minutes_is_merged_and_nothing_is_lost() {
    init();
    let mut scene = Scene::in_a_room(2);
    scene.on(0).tap("Notes");
    scene.on(1).tap("Notes");
    scene.on(0).tap("Begin to write");
    scene.on(0).type_text("both");
    scene.pass(S(10));
    scene.network.separate(0, 1);
    scene.on(0).type_text(" and one");
    scene.on(1).focus_paragraph(0, 0);
    scene.on(1).type_text("two and ");
    scene.pass(S(600));
    scene.network.connect(0, 1);
    scene.pass(S(60));
    for person in 0..2 {
        assert_eq!(scene.on(person).paragraphs(), ["two and both and one"]);
    }
}

#[test]
fn a_paragraph_that_needs_more_lines_moves_the_next_one_down() {
    init();
    let mut scene = Scene::in_a_room(2);
    scene.on(0).tap("Notes");
    scene.on(0).tap("Begin to write");
    scene.on(0).type_text("one\ntwo\n");
    let before = scene.on(0).place("Paragraph 2: two").1;
    scene.on(0).focus_paragraph(0, 3);
    scene.on(0).type_text(" that is longer than the screen of a phone is wide, so that it takes two lines");
    scene.on(0).focus_paragraph(2, 0);
    let after = scene.on(0).place("Paragraph 2: two").1;
    assert!(after >= before + 15.0, "from {before} to {after}");
}

#[test]
fn undo_takes_back_mine_and_not_the_others() {
    init();
    let mut scene = Scene::in_a_room(2);
    scene.on(0).tap("Notes");
    scene.on(1).tap("Notes");
    scene.on(0).tap("Begin to write");
    scene.on(0).type_text("mine ");
    scene.pass(S(10));
    scene.on(1).focus_paragraph(0, 5);
    scene.on(1).type_text("theirs");
    scene.pass(S(10));
    scene.on(0).tap("Undo what I wrote last");
    scene.pass(S(10));
    for person in 0..2 {
        assert_eq!(scene.on(person).paragraphs(), ["theirs"]);
    }
}

#[test]
fn journey_13_all_close_and_the_screen_says_who_is_waited_for_and_then_that_it_is_gone() {
    init();
    let mut scene = Scene::in_a_room(3);
    scene.on(0).tap("Close this talk");
    scene.on(0).tap("Propose to close");
    scene.pass(S(5));
    assert!(scene.on(0).says("Waiting for 2 of 3"));
    assert!(!scene.on(0).has("Say something"), "who has agreed writes no more");
    scene.on(1).tap("Agree and close");
    scene.pass(S(5));
    assert!(scene.on(0).says("Waiting for 1 of 3"));
    scene.on(2).tap("Agree and close");
    scene.pass(S(20));
    for person in 0..3 {
        assert!(scene.on(person).was_told("A talk is over, and erased on this device."));
        assert_eq!(scene.on(person).page(), Page::Talks);
        scene.on(person).tap("Privacy");
        assert!(scene.on(person).says("Closed by all"));
        assert!(scene.on(person).says_in_part("Erased on 3 of 3."));
    }
    assert!((0..3).all(|phone| !scene.network.phones[phone].disk.holds_talks()));
}

#[test]
fn journey_14_who_leaves_silently_has_nothing_left_and_the_others_go_on() {
    init();
    let mut scene = Scene::in_a_room(3);
    scene.on(2).tap("People");
    scene.on(2).tap("Leave silently");
    scene.on(2).tap("Leave and erase");
    scene.pass(S(1));
    assert_eq!(scene.on(2).page(), Page::Talks);
    assert!(!scene.network.phones[2].disk.holds_talks());
    scene.pass(S(20));
    scene.on(0).tap("People");
    assert!(scene.on(0).says("left"));
    scene.on(0).tap("Talk");
    scene.on(0).field("Say something", "still here");
    scene.on(0).tap("Say it");
    scene.pass(S(5));
    assert!(scene.on(1).says_in_part("still here"));
}

#[test]
fn from_card_to_open_room_by_taps_alone() {
    init();
    let mut scene = Scene::new(3);
    scene.network.connect_all();
    scene.pass(S(2));
    scene.on(0).tap("New talk card");
    scene.on(0).field("Topic", "How do you run incident reviews?");
    scene.on(0).tap("Post the card");
    scene.pass(S(5));
    assert!(scene.on(0).says("Gathering"));
    for person in 1..3 {
        scene.on(person).tap("Take a seat in “How do you run incident reviews?”");
        scene.pass(S(5));
    }
    scene.pass(S(20));
    for person in 0..3 {
        assert_eq!((scene.on(person).page(), scene.on(person).part()), (Page::Room, Part::Talk));
        assert!(scene.on(person).says("Nothing said yet"), "{:?}", scene.on(person).texts());
    }
    scene.on(1).field("Say something", "hello");
    scene.on(1).tap("Say it");
    scene.pass(S(3));
    assert!(scene.on(2).says_in_part("hello"));
}

#[test]
fn journey_2_a_picture_of_the_events_code_is_all_that_a_new_phone_needs() {
    init();
    let mut scene = Scene::new(2);
    let link = scene.network.pack().to_link().expect("a link");
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("event.png");
    let code = Qr::new(&link, Correction::Medium).expect("a code");
    std::fs::write(&picture, code.png(4).expect("a picture")).expect("the picture is written");
    let _card = post(&mut scene.network, 0, terms(2, 3));
    scene.network.connect(0, 1);
    scene.renew(1, "de");
    let mut new = scene.on(1);
    assert_eq!(new.page(), Page::Welcome);
    assert!(new.says("In jedem Gespräch hast du einen anderen Namen, und niemand sieht, wer du bist."), "{:?}", new.texts());

    new.tap("Code der Veranstaltung scannen");
    new.field("Pfad eines Bilds des Codes (PNG)", "/no/such/picture.png");
    new.tap("Bild lesen");
    assert!(new.was_told("Diese Datei lässt sich nicht lesen. Prüfe, wo sie liegt und ob sie dir gehört."), "{:?}", new.texts());
    scene.renew(1, "de");
    let mut new = scene.on(1);
    new.tap("Code der Veranstaltung scannen");
    new.field("Pfad eines Bilds des Codes (PNG)", picture.to_str().expect("a plain path"));
    new.tap("Bild lesen");
    assert_ne!(new.page(), Page::Welcome, "{:?}", new.texts());
    scene.pass(S(5));
    let new = scene.on(1);
    assert!(new.says_in_part("Platz nehmen"), "the card of the other: {:?}", new.texts());
}

#[test]
fn journey_7_the_code_on_one_screen_read_from_its_picture_brings_both_to_the_table() {
    init();
    let mut scene = Scene::in_a_room(2);
    scene.on(0).tap("Show the code for the table");
    scene.settle();
    let text = scene.on(0).read_the_code();
    scene.network.separate(0, 1);
    scene.network.connect(0, 1);
    scene.on(1).tap("Back to the talks");
    scene.on(1).tap("Scan a code");
    scene.on(1).field("Or the text of the code", &text);
    scene.on(1).tap("Use the text");
    scene.pass(S(5));
    assert!(scene.on(1).was_told("You are at the table. The talk goes on here."), "{:?}", scene.on(1).texts());
    assert_eq!(scene.on(1).page(), Page::Room);
}

#[test]
fn journey_8_somebody_new_is_let_in_after_two_words_were_compared() {
    init();
    let mut scene = Scene::in_a_room_among(2, 3);
    scene.on(0).tap("Show the code for the table");
    scene.on(0).tap("For somebody new");
    scene.settle();
    let text = scene.on(0).read_the_code();
    scene.network.connect(0, 2);
    scene.on(2).tap("Scan a code");
    scene.on(2).field("Or the text of the code", &text);
    scene.on(2).tap("Use the text");
    scene.pass(S(5));
    scene.on(0).tap("Stop showing the code");
    let words = scene.on(2).words_to_compare();
    assert!(scene.on(0).says_in_part(&format!("Their screen must show: {words}")), "{words} {:?}", scene.on(0).texts());
    scene.on(0).tap("Same words: let in");
    scene.pass(S(30));
    let talk = scene.network.node(2).talks().first().map(|talk| talk.talk).expect("a talk");
    assert_eq!(room(&scene.network, 2, talk).seats.len(), 3);
    let _number = number(&scene.network, 2, talk);
}

#[test]
fn of_five_thousand_cards_only_those_that_are_seen_are_made_and_a_word_finds_one() {
    init();
    let mut scene = Scene::new(1);
    let mut snapshot = Snapshot::of(scene.network.node(0), &Situation::default(), Wanted { board: true, notes: None }, 0);
    let card = |number: u16| CardView {
        card: CardId([number.to_be_bytes(); 8].concat().try_into().unwrap()),
        terms: Terms {
            topic: format!("Topic {number}"),
            tags: vec!["rust".into()],
            pattern: Pattern::Open,
            seats_min: 3,
            seats_max: 5,
            expires_hours: snapshot.hour + 4,
        },
        persona: "Teal Heron".into(),
        shared_tags: 0,
        talk: None,
    };
    snapshot.board = Some((0..5_000).map(card).collect());
    scene.people[0].screens.show(snapshot);
    let topics = |scene: &mut Scene| {
        let _drawn = scene.on(0).place("Filter the board");
        let texts = scene.on(0).texts();
        texts.into_iter().filter(|text| text.starts_with("Topic ")).collect::<std::collections::BTreeSet<_>>()
    };
    let seen = topics(&mut scene);
    assert!((3..20).contains(&seen.len()) && seen.contains("Topic 0"), "{seen:?}");
    scene.people[0].screens.window().global::<alcove_ui::BoardAdapter>().set_filter("4321".into());
    scene.people[0].screens.window().global::<alcove_ui::BoardAdapter>().invoke_filter_edited("4321".into());
    assert_eq!(topics(&mut scene).into_iter().collect::<Vec<_>>(), ["Topic 4321"]);
}

#[test]
fn what_the_core_refuses_is_one_plain_sentence() {
    init();
    let mut scene = Scene::in_a_room(2);
    scene.on(0).tap("Back to the talks");
    scene.on(0).tap("Scan a code");
    scene.on(0).field("Or the text of the code", "ALCOVE:NOT-A-CODE");
    scene.on(0).tap("Use the text");
    scene.pass(S(1));
    assert!(scene.on(0).says("This is not an Alcove code."), "{:?}", scene.on(0).texts());
}

#[test]
fn every_refusal_of_the_core_has_its_own_sentence_in_both_languages() {
    init();
    let scene = Scene::new(1);
    let words = scene.people[0].screens.window();
    let refusals = ui_support::every_refusal();
    let mut seen = std::collections::BTreeSet::new();
    for language in ["en", "de"] {
        alcove::app::attendee::look_like(&scene.people[0].screens, &Settings { language: language.into(), ..Settings::default() });
        for code in &refusals {
            let word = alcove::app::attendee::words::failure(code);
            assert_ne!(word, Word::Defect, "{code} has no word");
            let sentence = ui_support::sentence(words, word);
            assert!(sentence.ends_with('.') && sentence.len() > 10, "{code}: {sentence:?}");
            assert!(seen.insert(sentence.clone()), "{code} says what another says: {sentence}");
        }
    }
}
