//! The desktop's notification service (Desktop Notifications Specification 1.2): it writes down what programs tell people who look
//! elsewhere.

use super::person::eventually;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use zbus::connection::Builder;
use zbus::zvariant::Value;
use zbus::{Connection, block_on};

pub struct Bulletin {
    told: Arc<Mutex<Vec<Told>>>,
    _bus: Connection,
}

/// What a program told.
#[derive(Clone, Debug)]
pub struct Told {
    /// The sentence,
    pub body: String,
    /// and all that came with it.
    pub whole: String,
}

struct Service(Arc<Mutex<Vec<Told>>>);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Service {
    #[expect(clippy::too_many_arguments, reason = "so the specification has it")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: Vec<String>,
        hints: HashMap<String, Value<'_>>,
        expire_timeout: i32,
    ) -> u32 {
        let whole = format!("{:?}", (app_name, replaces_id, app_icon, summary, body, actions, hints, expire_timeout));
        let mut told = self.0.lock().expect("the service's memory");
        told.push(Told { body: body.to_owned(), whole });
        told.len() as u32
    }
}

impl Bulletin {
    /// Serves in a session.
    pub fn open(session: &str) -> Bulletin {
        let told = Arc::default();
        let service = Service(Arc::clone(&told));
        let bus = block_on(async {
            let bus = Builder::address(session)?.name("org.freedesktop.Notifications")?;
            bus.serve_at("/org/freedesktop/Notifications", service)?.build().await
        });
        Bulletin { told, _bus: bus.expect("the session's bus") }
    }

    /// Waits until this sentence was told.
    pub fn tells(&self, body: &str) {
        eventually(body, || self.told().into_iter().find(|told| told.body == body));
    }

    /// All that was told so far.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().expect("the service's memory").clone()
    }
}
