//! People with a window each, whose nodes are on the simulator's network: wishes and looks go between them as the app carries them, in
//! virtual time.
#![allow(dead_code)] // each story uses its part

mod hall;

use alcove::app::attendee::screens::Screens;
use alcove::app::attendee::session::{News, meant};
use alcove::app::attendee::settings::Settings;
use alcove::app::attendee::snapshot::{Snapshot, Wanted};
use alcove::app::attendee::wish::Wish;
use alcove::app::attendee::{look_like, words};
use alcove::app::headless::request::Failure;
use alcove::proto::error::Refused;
use alcove::proto::time::Duration;
use alcove::shell::ble::BleState;
use alcove::shell::driver::{Situation, Transport};
use alcove::shell::picture::decode_luma;
use alcove::shell::relay::RelayState;
use alcove_ui::{self as ui, Page, Part};
use firmware_sim::disk::Disk;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, events, open_room};
use i_slint_backend_testing::{
    AccessibleRole, ElementHandle, ElementQuery, TestingBackend, TestingBackendOptions, mock_elapsed_time,
};
use slint::platform::{PointerEventButton, WindowEvent};
use slint::{ComponentHandle, LogicalSize, PhysicalSize, SharedString};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::rc::Rc;

/// The one platform of this thread: no display, mock time, the software renderer.
pub fn init() {
    let options = TestingBackendOptions { mock_time: true, threading: false, renderer_name: Some("software".into()) };
    slint::platform::set_platform(Box::new(TestingBackend::new(options))).expect("one platform per test");
}

/// Bluetooth in use.
pub const SHOWN: BleState = BleState::On { is_shown: true };

/// Every screen, and the part of the room that it shows.
pub const SCREENS: [(&str, Page, Part); 12] = [
    ("welcome", Page::Welcome, Part::Talk),
    ("around", Page::Around, Part::Talk),
    ("talks", Page::Talks, Part::Talk),
    ("draft", Page::Draft, Part::Talk),
    ("room", Page::Room, Part::Talk),
    ("notes", Page::Room, Part::Notes),
    ("plan", Page::Room, Part::Plan),
    ("people", Page::Room, Part::People),
    ("scan", Page::Scan, Part::Talk),
    ("code", Page::ShowCode, Part::Talk),
    ("privacy", Page::Privacy, Part::Talk),
    ("settings", Page::Settings, Part::Talk),
];

/// A person before a window.
pub struct Person {
    pub screens: Screens,
    phone: usize,
    wishes: Rc<RefCell<VecDeque<Wish>>>,
    wanted: Wanted,
    edits: u64,
    /// How network, radio and relay stand for the shell, which is not there.
    pub situation: Situation,
    /// The ways that were switched, on or off.
    pub switched: Vec<(Transport, bool)>,
    /// The sentences that were shown at the foot of the screen; there they stay for seconds only.
    told: Vec<String>,
}

/// All of them.
pub struct Scene {
    pub network: Network,
    pub people: Vec<Person>,
}

impl Scene {
    /// So many people of one event, not in reach of each other.
    pub fn new(count: usize) -> Scene {
        let network = Network::new(7, count);
        let people = (0..count).map(Person::new).collect();
        let mut scene = Scene { network, people };
        scene.settle();
        scene
    }

    /// So many people in an open room, all in reach, and the room on each screen.
    pub fn in_a_room(count: usize) -> Scene {
        Scene::in_a_room_among(count, count)
    }

    /// The first so many of them in an open room.
    pub fn in_a_room_among(count: usize, all: usize) -> Scene {
        let mut scene = Scene::new(all);
        for a in 0..count {
            (0..a).for_each(|b| scene.network.connect(b, a));
        }
        let talks = open_room(&mut scene.network, count, count as u8);
        scene.pass(S(10));
        for (person, talk) in talks.iter().enumerate() {
            let id: SharedString = talk.to_string().into();
            scene.people[person].screens.window().global::<ui::TalksAdapter>().invoke_open(id);
        }
        scene.settle();
        scene
    }

    /// One of them, to do and to see something.
    pub fn on(&mut self, person: usize) -> Hand<'_> {
        Hand { scene: self, person }
    }

    /// Virtual time passes for nodes and windows alike.
    pub fn pass(&mut self, span: Duration) {
        for _ in 0..span.as_secs().clamp(1, 20) {
            self.network.run(Duration::from_millis(span.as_secs().max(1) * 1_000 / span.as_secs().clamp(1, 20)));
            self.settle();
        }
    }

    /// The phone of one of them is new: it knows of no event, and speaks this language.
    pub fn renew(&mut self, person: usize, language: &str) {
        self.network.phones[person].disk = Disk::default();
        self.network.restart(person);
        self.people[person] = Person::new(person);
        let settings = Settings { language: language.into(), look: "light".into(), reduced_motion: true, ..Settings::default() };
        look_like(&self.people[person].screens, &settings);
        self.settle();
    }

    /// One look at the node comes to one screen.
    pub fn look(&mut self, person: usize) {
        self.people[person].settle(&mut self.network);
    }

    /// All wishes are carried out and all there is to tell is told.
    pub fn settle(&mut self) {
        for _ in 0..4 {
            for person in &mut self.people {
                person.settle(&mut self.network);
            }
        }
    }
}

impl Person {
    fn new(phone: usize) -> Person {
        let wishes: Rc<RefCell<VecDeque<Wish>>> = Rc::default();
        let asked = Rc::clone(&wishes);
        let screens = Screens::new(Box::new(move |wish| asked.borrow_mut().push_back(wish))).expect("a window");
        screens.window().show().expect("it can be shown");
        let settings = Settings { language: "en".into(), look: "light".into(), reduced_motion: true, ..Settings::default() };
        look_like(&screens, &settings);
        resize(screens.window(), 360, 800);
        let situation = Situation { lan: Some(true), relay: Some(RelayState::Up), ..Situation::default() };
        let wanted = Wanted { board: true, notes: None };
        Person { screens, phone, wishes, wanted, edits: 0, situation, switched: Vec::new(), told: Vec::new() }
    }

    fn settle(&mut self, network: &mut Network) {
        while let Some(wish) = { self.wishes.borrow_mut().pop_front() } {
            let done = match wish {
                Wish::Look(talk) => {
                    (self.wanted.notes, self.edits) = (talk, 0);
                    continue;
                }
                Wish::Switch(transport, is_on) => {
                    self.switch(network, transport, is_on);
                    continue;
                }
                Wish::Node(act) => {
                    self.edits += u64::from(act.is_edit());
                    network.with(self.phone, |node| act.carry_out(node)).map_err(Failure::from)
                }
                Wish::Read(given) => {
                    let reader = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                    reader.block_on(meant(given)).and_then(|act| {
                        let done = network.with(self.phone, |node| act.carry_out(node));
                        Ok(done?)
                    })
                }
                other => panic!("no wish for a node: {other:?}"),
            };
            self.screens.take(News::Done(done.map_err(|failure| words::failure(failure.code))));
        }
        for event in events(network, self.phone) {
            self.screens.take(News::Event(event));
        }
        let wanted = Wanted { board: true, ..self.wanted };
        let snapshot = Snapshot::of(network.node(self.phone), &self.situation, wanted, self.edits);
        self.screens.take(News::Look(Box::new(snapshot)));
        let toast = self.screens.window().global::<ui::Toast>();
        if toast.get_is_shown() {
            self.told.push(sentence(self.screens.window(), toast.get_word()));
        }
        mock_elapsed_time(std::time::Duration::from_millis(50));
    }
}

/// Gives a window a size in logical pixels.
pub fn resize(window: &ui::AttendeeWindow, width: u32, height: u32) {
    let inner = window.window();
    inner.set_size(PhysicalSize::new(width, height));
    inner.dispatch_event(WindowEvent::Resized { size: LogicalSize::new(width as f32, height as f32) });
    mock_elapsed_time(std::time::Duration::from_millis(300));
}

/// A person's hand and eye.
pub struct Hand<'a> {
    scene: &'a mut Scene,
    person: usize,
}

impl Hand<'_> {
    fn window(&self) -> &ui::AttendeeWindow {
        self.scene.people[self.person].screens.window()
    }

    fn all(&self) -> Vec<ElementHandle> {
        ElementQuery::from_root(self.window()).find_all()
    }

    fn labelled(&self, label: &str) -> Vec<ElementHandle> {
        // A text that names a field has the field's name too, and no role.
        let has_role = |element: &ElementHandle| element.accessible_role().is_some_and(|role| role != AccessibleRole::None);
        ElementHandle::find_by_accessible_label(self.window(), label).filter(has_role).collect()
    }

    /// Touches what is called so, in the middle, as a finger does.
    pub fn tap(&mut self, label: &str) {
        let found = self.labelled(label);
        let element = found.first().unwrap_or_else(|| panic!("nothing is called {label:?}: {:?}", self.texts()));
        element.mock_single_click(PointerEventButton::Left);
        mock_elapsed_time(std::time::Duration::from_millis(50));
        self.scene.settle();
    }

    /// Puts a text into the field that is called so.
    pub fn field(&mut self, label: &str, text: &str) {
        let found = self.labelled(label);
        let element = found.first().unwrap_or_else(|| panic!("no field is called {label:?}: {:?}", self.texts()));
        element.mock_single_click(PointerEventButton::Left);
        mock_elapsed_time(std::time::Duration::from_millis(50));
        self.type_text(text);
    }

    /// Types on the keyboard; a line's end is Enter.
    pub fn type_text(&mut self, text: &str) {
        for letter in text.chars() {
            let text: SharedString = if letter == '\n' { slint::platform::Key::Return.into() } else { letter.into() };
            self.window().window().dispatch_event(WindowEvent::KeyPressed { text: text.clone() });
            self.window().window().dispatch_event(WindowEvent::KeyReleased { text });
            mock_elapsed_time(std::time::Duration::from_millis(20));
        }
        self.scene.settle();
    }

    /// Presses one key, and waits for nothing.
    pub fn press(&mut self, letter: char) {
        let text: SharedString = letter.into();
        self.window().window().dispatch_event(WindowEvent::KeyPressed { text: text.clone() });
        self.window().window().dispatch_event(WindowEvent::KeyReleased { text });
    }

    /// Puts the cursor into a paragraph, after so many bytes.
    pub fn focus_paragraph(&mut self, row: i32, byte: i32) {
        self.window().global::<ui::NotesAdapter>().invoke_focused(row, byte);
        mock_elapsed_time(std::time::Duration::from_millis(50));
        self.scene.settle();
    }

    /// Where something lies in the window.
    pub fn place(&mut self, label: &str) -> (f32, f32) {
        // Lists are laid out when they are drawn.
        let _drawn = self.window().window().take_snapshot();
        let found = self.labelled(label);
        let at = found.first().unwrap_or_else(|| panic!("nothing is called {label:?}: {:?}", self.texts())).absolute_position();
        (at.x, at.y)
    }

    /// The notes as they are shown, also where they are written in.
    pub fn paragraphs(&self) -> Vec<String> {
        let mut found: Vec<(usize, String)> = Vec::new();
        for element in self.all() {
            let label = element.accessible_label().unwrap_or_default();
            let row = label.strip_prefix("Paragraph ").and_then(|rest| rest.split(':').next()?.parse().ok());
            if let (Some(row), Some(value)) = (row, element.accessible_value()) {
                found.push((row, value.to_string()));
            }
        }
        found.sort();
        found.dedup();
        found.into_iter().map(|(_, text)| text).collect()
    }

    /// All that can be read out.
    pub fn texts(&self) -> Vec<String> {
        self.all()
            .iter()
            .filter_map(ElementHandle::accessible_label)
            .map(|label| label.to_string())
            .filter(|l| !l.is_empty())
            .collect()
    }

    /// Whether this can be read, word for word.
    pub fn says(&self, text: &str) -> bool {
        self.texts().iter().any(|label| label == text || label.strip_prefix(text).is_some_and(|rest| rest.starts_with(' ')))
    }

    /// Whether this was said at the foot of the screen.
    pub fn was_told(&self, text: &str) -> bool {
        self.scene.people[self.person].told.iter().any(|told| told == text)
    }

    /// Whether this can be read within something.
    pub fn says_in_part(&self, text: &str) -> bool {
        self.texts().iter().any(|label| label.contains(text))
    }

    /// Whether there is something called so.
    pub fn has(&self, label: &str) -> bool {
        !self.labelled(label).is_empty()
    }

    pub fn page(&self) -> ui::Page {
        self.window().global::<ui::Nav>().get_page()
    }

    pub fn part(&self) -> ui::Part {
        self.window().global::<ui::Nav>().get_part()
    }

    /// Reads the code that is on this screen from the pixels of the window, as a camera would.
    pub fn read_the_code(&mut self) -> String {
        mock_elapsed_time(std::time::Duration::from_millis(100));
        let picture = self.window().window().take_snapshot().expect("a picture of the window");
        let luma: Vec<u8> =
            picture.as_slice().iter().map(|p| ((u32::from(p.r) + u32::from(p.g) + u32::from(p.b)) / 3) as u8).collect();
        decode_luma(picture.width() as usize, picture.height() as usize, &luma).expect("the code on the screen can be read")
    }

    /// Writes what is on this screen as a PNG file, and gives its pixels.
    pub fn picture(&mut self, path: impl AsRef<Path>) -> Vec<u8> {
        mock_elapsed_time(std::time::Duration::from_millis(400));
        let picture = self.window().window().take_snapshot().expect("a picture of the window");
        let file = BufWriter::new(File::create(path).expect("the file can be made"));
        let mut encoder = png::Encoder::new(file, picture.width(), picture.height());
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().and_then(|mut writer| writer.write_image_data(picture.as_bytes())).expect("the picture is written");
        picture.as_bytes().to_vec()
    }

    /// The two words that a newcomer shows.
    pub fn words_to_compare(&self) -> String {
        let scan = self.window().global::<ui::ScanAdapter>();
        format!("{} {}", scan.get_word_one(), scan.get_word_two())
    }
}

/// The sentence that the screens have for a word.
pub fn sentence(window: &ui::AttendeeWindow, word: ui::Word) -> String {
    window.global::<ui::Words>().invoke_word(word).to_string()
}

/// The codes of every refusal of the core.
pub fn every_refusal() -> Vec<&'static str> {
    use Refused::{
        Closing, CodeExpired, CodeOfOtherEvent, EventOver, Full, NoEvent, NoLan, NoProposal, NobodyWaits, NotACode, NotChair,
        NotOpen, NotOrganizer, OtherEvent, OutOfRange, OwnCard, PackInvalid, ReadOnly, SeatTaken, TooMany, UnknownCard,
        UnknownSeat, UnknownTalk,
    };
    let all = [
        NoEvent,
        PackInvalid,
        EventOver,
        OtherEvent,
        UnknownTalk,
        UnknownCard,
        OwnCard,
        SeatTaken,
        Full,
        NotOpen,
        Closing,
        ReadOnly,
        NoProposal,
        OutOfRange,
        TooMany,
        NotACode,
        CodeExpired,
        CodeOfOtherEvent,
        NobodyWaits,
        UnknownSeat,
        NotChair,
        NotOrganizer,
        NoLan,
    ];
    all.into_iter().map(|refused| Failure::from(refused).code).collect()
}
