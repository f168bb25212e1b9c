//! `alcove`: the attendee's app. The window has the main thread, the driver and what it needs another; between them go plain values.

pub mod editor;
pub mod notify;
pub mod paint;
pub mod practice;
pub mod screens;
pub mod session;
pub mod settings;
pub mod snapshot;
pub mod splice;
pub mod wish;
pub mod words;

use self::practice::Practice;
use self::screens::Screens;
use self::session::{End, News};
use self::settings::Settings;
use self::wish::{Given, Wish};
use crate::app::headless::request::Failure;
use crate::app::start::{self, Ways};
use crate::proto::node::Node;
use crate::shell::driver::{self, Parts};
use crate::shell::hardening;
use crate::shell::vault::Vault;
use alcove_ui as ui;
use clap::Args;
use slint::{ComponentHandle, LogicalSize, WindowSize};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::thread;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The attendee's app.
#[derive(Args, Clone, Debug)]
pub struct AttendeeArgs {
    /// Where your event, talks and receipts lie; made if it is not there. By default in your own data folder
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
    #[command(flatten)]
    ways: Ways,
    /// An event's file, or the link of a code, to open at once
    #[arg(value_name = "FILE|LINK")]
    open: Option<String>,
}

thread_local! {
    /// The window, for what other threads have to show.
    static SCREENS: RefCell<Option<Screens>> = const { RefCell::new(None) };
}

/// Runs until the window is closed.
pub fn run(args: AttendeeArgs) -> ExitCode {
    match show(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn show(args: AttendeeArgs) -> Result<(), String> {
    let profile = args.profile.clone().or_else(session::default_profile);
    let profile = profile.ok_or("There is no home folder to keep a profile in: give one with --profile DIR.")?;
    let (settings, aside) = Settings::read(&profile);
    let (ask, wishes) = unbounded_channel();
    let to_session = ask.clone();
    let screens = Screens::new(Box::new(move |wish| drop(to_session.send(wish))))
        .map_err(|error| format!("No window can be shown here ({error}). Without a screen there is: alcove node --profile DIR"))?;
    if let Some((width, height)) = settings.window {
        screens.window().window().set_size(WindowSize::Logical(LogicalSize::new(width, height)));
    }
    let settings = Rc::new(RefCell::new(settings));
    look_like(&screens, &settings.borrow());
    listen_to_settings(&screens, &settings, &profile);
    if aside.is_some() {
        screens.tell(ui::Word::SettingsSetAside);
    }
    if let Some(open) = &args.open {
        let _sent = ask.send(Wish::Read(Given::of(open)));
    }
    drop(ask);

    SCREENS.set(Some(screens.clone()));
    let language = settings.borrow().spoken().to_owned();
    let beside = {
        let (profile, ways) = (profile.clone(), args.ways.clone());
        thread::Builder::new().name("session".into()).spawn(move || hold(&profile, &ways, &language, wishes))
    };
    let beside = beside.map_err(|error| format!("The system gives no thread ({error})."))?;
    let shown = screens.window().run();
    let size = screens.window().window().size().to_logical(screens.window().window().scale_factor());
    settings.borrow_mut().window = Some((size.width, size.height));
    // The end of the screens is the end of wishes, and with it of the session.
    SCREENS.set(None);
    drop(screens);
    let has_erased = beside.join().unwrap_or(false);
    if !has_erased {
        let _unsaved = settings.borrow().write(&profile);
    }
    shown.map_err(|error| error.to_string())
}

/// Sets language and look.
pub fn look_like(screens: &Screens, settings: &Settings) {
    let window = screens.window();
    let theme = window.global::<ui::Theme>();
    let is_dark = match settings.scheme() {
        ui::Scheme::Light => false,
        ui::Scheme::Dark => true,
        ui::Scheme::System => window.get_system_is_dark(),
    };
    theme.set_dark(is_dark);
    theme.set_high_contrast(settings.high_contrast);
    theme.set_reduced_motion(settings.reduced_motion);
    theme.set_text_scale(settings.text_scale);
    let shown = window.global::<ui::SettingsAdapter>();
    shown.set_tongue(settings.tongue());
    shown.set_scheme(settings.scheme());
    shown.set_high_contrast(settings.high_contrast);
    shown.set_reduced_motion(settings.reduced_motion);
    shown.set_text_scale(settings.text_scale);
    // English is what the windows are written in, and always there.
    let _missing = slint::select_bundled_translation(settings.spoken());
}

fn listen_to_settings(screens: &Screens, settings: &Rc<RefCell<Settings>>, profile: &Path) {
    fn when<A, F: Fn(&mut Settings, A) + 'static>(
        screens: &Screens,
        settings: &Rc<RefCell<Settings>>,
        profile: &Path,
        set: F,
    ) -> impl FnMut(A) + use<A, F> {
        let (window, settings, profile) = (screens.downgrade(), Rc::clone(settings), profile.to_path_buf());
        move |value| {
            let mut settings = settings.borrow_mut();
            set(&mut settings, value);
            let _unsaved = settings.write(&profile);
            if let Some(screens) = window.upgrade() {
                look_like(&screens, &settings);
            }
        }
    }
    let adapter = screens.window().global::<ui::SettingsAdapter>();
    adapter.on_pick_tongue(when(screens, settings, profile, Settings::set_tongue));
    adapter.on_pick_scheme(when(screens, settings, profile, Settings::set_scheme));
    adapter.on_set_high_contrast(when(screens, settings, profile, |settings, on| settings.high_contrast = on));
    adapter.on_set_reduced_motion(when(screens, settings, profile, |settings, on| settings.reduced_motion = on));
    adapter.on_set_text_scale(when(screens, settings, profile, |settings, scale| settings.text_scale = scale));
}

/// Holds one session after the other until the window closes. Whether everything was erased comes back.
fn hold(profile: &Path, ways: &Ways, language: &str, mut wishes: UnboundedReceiver<Wish>) -> bool {
    let mut practice: Option<Practice> = None;
    loop {
        let opened = match &practice {
            Some(practice) => practice.open("me"),
            None => start::open(profile, ways),
        };
        let ended = opened.and_then(|(parts, found)| {
            tell(News::Opened {
                level: found.level,
                lost: found.lost.len(),
                corrupt: found.corrupt.len(),
                is_practice: practice.is_some(),
            });
            // What was restored has been on this thread's stack.
            hardening::wipe_stack();
            attend(parts, practice.as_ref(), language, &mut wishes)
        });
        match ended {
            Ok(End::Over) => return false,
            Ok(End::Practice) => {
                let name = if language == "de" { "Übung" } else { "Practice" };
                let place = if language == "de" { "nur dieses Gerät" } else { "this device alone" };
                practice = match Practice::new(name, place) {
                    Ok(practice) => Some(practice),
                    Err(failure) => {
                        tell(News::Done(Err(words::failure(failure.code))));
                        None
                    }
                };
            }
            // In a practice that is its end, and the person's own profile stays as it is.
            Ok(End::EraseEverything) if practice.is_some() => practice = None,
            Ok(End::EraseEverything) => match erase(profile, ways) {
                Ok(()) => {
                    tell(News::Erased);
                    return true;
                }
                Err(failure) => tell(News::CannotOpen(failure.message)),
            },
            Err(failure) => {
                tell(News::CannotOpen(failure.message));
                // Nothing can be wished of a profile that is not open.
                while wishes.blocking_recv().is_some() {}
                return false;
            }
        }
    }
}

fn attend(parts: Parts, practice: Option<&Practice>, language: &str, wishes: &mut UnboundedReceiver<Wish>) -> Result<End, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new("failed", format!("the operating system gives no threads or timers: {error}")))?;
    runtime.block_on(async {
        let companions = practice.map(|practice| practice.companions(language)).transpose()?.unwrap_or_default();
        let (driver, mut notices) = driver::start(parts);
        let end = session::serve(&driver, wishes, &mut notices, tell).await;
        let leave_all = end == End::EraseEverything;
        let finish = move |node: &mut Node| {
            for talk in node.talks() {
                // One that is not open has no notes to finish, and one that is left is gone at once.
                let _ = if leave_all { node.leave(talk.talk) } else { node.flush(talk.talk) };
            }
        };
        let _ended = driver.change(finish).await;
        driver.shutdown().await;
        companions.iter().for_each(tokio::task::JoinHandle::abort);
        Ok(end)
    })
}

/// Destroys the keys of what is left, then the files.
fn erase(profile: &Path, ways: &Ways) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new("profile-access", error);
    let opened = Vault::open(profile, ways.keystore.clone(), crate::proto::rng::Rng::new(start::entropy()?));
    opened.and_then(|opened| opened.vault.destroy_talks()).map_err(|error| failed(&error))?;
    std::fs::remove_dir_all(profile).map_err(|error| failed(&error))
}

/// Shows something, from any thread.
fn tell(news: News) {
    // When the window is gone nobody needs to know.
    let _gone = slint::invoke_from_event_loop(move || {
        SCREENS.with_borrow(|screens| {
            if let Some(screens) = screens {
                screens.take(news);
            }
        });
    });
}
