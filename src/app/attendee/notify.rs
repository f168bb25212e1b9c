//! A word through the desktop to whoever looks elsewhere (Desktop Notifications Specification 1.2).
//!
//! Laws: it says that something happened, and never with whom or about what; each word once, until the person looks again; the desktop
//! is asked to keep none of them.

use alcove_ui::Word;
use slint::winit_030::winit::event::WindowEvent;
use slint::winit_030::{EventResult, WinitWindowAccessor};
use std::cell::RefCell;
use std::rc::Rc;

/// Whether somebody looks at the window, and what was said since nobody does.
#[derive(Clone, Default)]
pub struct Notifier {
    /// `None`: somebody looks.
    unseen: Rc<RefCell<Option<Vec<Word>>>>,
}

impl Notifier {
    /// Learns of the window whether it is looked at. One that is no window of the desktop always is.
    pub fn watch(&self, window: &slint::Window) {
        let unseen = Rc::clone(&self.unseen);
        window.on_winit_window_event(move |_, event| {
            if let WindowEvent::Focused(is_seen) = event {
                unseen.replace((!is_seen).then(Vec::new));
            }
            EventResult::Propagate
        });
    }

    /// Says a sentence through the desktop, if nobody looks and it was not said yet.
    pub fn say(&self, word: Word, sentence: impl FnOnce() -> String) {
        let mut unseen = self.unseen.borrow_mut();
        let Some(unseen) = unseen.as_mut().filter(|unseen| !unseen.contains(&word)) else { return };
        unseen.push(word);
        let sentence = sentence();
        // Where there is no such service, the window says it all the same.
        let _no_event_loop = slint::spawn_local(async move { drop(show(&sentence).await) });
    }
}

#[cfg(target_os = "linux")]
async fn show(sentence: &str) -> zbus::Result<()> {
    use std::collections::HashMap;
    use zbus::zvariant::Value;

    const SERVICE: &str = "org.freedesktop.Notifications";
    // A new one, for as long as the desktop shows any.
    let (replaces, timeout) = (0_u32, -1_i32);
    let actions: &[&str] = &[];
    let hints = HashMap::from([("transient", Value::from(true)), ("desktop-entry", Value::from("alcove"))]);
    let bus = zbus::Connection::session().await?;
    let notify = ("Alcove", replaces, "alcove", "Alcove", sentence, actions, hints, timeout);
    bus.call_method(Some(SERVICE), "/org/freedesktop/Notifications", Some(SERVICE), "Notify", &notify).await?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
async fn show(_sentence: &str) {}
