//! What a screen reader sees: the names, roles and places of all that a window offers to assistive technology (AT-SPI 2 over D-Bus).

use zbus::connection::Builder;
use zbus::zvariant::{OwnedObjectPath, Value};
use zbus::{Connection, Result, block_on};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const ACCESSIBLE: &str = "org.a11y.atspi.Accessible";
/// Coordinates are meant within the window.
const IN_WINDOW: u32 = 1;

/// Words that are only read (AT-SPI's `ROLE_LABEL`), what has no role (`ROLE_UNKNOWN`),
pub const LABEL: u32 = 29;
pub const UNKNOWN: u32 = 67;
/// and a field to write in (`ROLE_ENTRY`).
pub const ENTRY: u32 = 79;

/// Something in a window.
#[derive(Clone, Debug)]
pub struct Seen {
    pub role: u32,
    pub name: String,
    /// What is written in it, if it is a field.
    pub text: String,
    /// Left, top, width and height in the window, in pixels.
    pub place: (i32, i32, i32, i32),
}

pub struct Eye {
    bus: Connection,
}

type Object = (String, OwnedObjectPath);

impl Eye {
    /// Switches assistive technology on in a session.
    pub fn open(session: &str) -> Eye {
        let bus = block_on(async {
            let session = Builder::address(session)?.build().await?;
            for switch in ["IsEnabled", "ScreenReaderEnabled"] {
                let on = ("org.a11y.Status", switch, Value::from(true));
                session.call_method(Some("org.a11y.Bus"), "/org/a11y/bus", Some(PROPERTIES), "Set", &on).await?;
            }
            let address =
                session.call_method(Some("org.a11y.Bus"), "/org/a11y/bus", Some("org.a11y.Bus"), "GetAddress", &()).await?;
            let address: String = address.body().deserialize()?;
            Builder::address(address.as_str())?.build().await
        });
        Eye { bus: bus.expect("the accessibility bus") }
    }

    /// All that the windows of a process show; empty while it shows nothing.
    pub fn all(&self, process: u32) -> Vec<Seen> {
        block_on(async {
            let Some(app) = self.app(process).await.ok().flatten() else { return Vec::new() };
            let (mut seen, mut waiting) = (Vec::new(), vec![app]);
            while let Some(object) = waiting.pop() {
                // What has gone while we looked is not there.
                if let Ok(found) = self.look_at(&object).await {
                    seen.push(found);
                }
                let mut children = self.children(&object).await.unwrap_or_default();
                children.reverse();
                waiting.extend(children);
            }
            seen
        })
    }

    async fn app(&self, process: u32) -> Result<Option<Object>> {
        let registry = ("org.a11y.atspi.Registry".to_owned(), OwnedObjectPath::try_from("/org/a11y/atspi/accessible/root")?);
        for app in self.children(&registry).await? {
            let owner = self
                .bus
                .call_method(
                    Some("org.freedesktop.DBus"),
                    "/org/freedesktop/DBus",
                    Some("org.freedesktop.DBus"),
                    "GetConnectionUnixProcessID",
                    &app.0,
                )
                .await?;
            if owner.body().deserialize::<u32>()? == process {
                return Ok(Some(app));
            }
        }
        Ok(None)
    }

    async fn children(&self, (name, path): &Object) -> Result<Vec<Object>> {
        let found = self.bus.call_method(Some(name.as_str()), path, Some(ACCESSIBLE), "GetChildren", &()).await?;
        found.body().deserialize()
    }

    async fn look_at(&self, (bus, path): &Object) -> Result<Seen> {
        let call = async |interface: &'static str, method: &'static str| {
            self.bus.call_method(Some(bus.as_str()), path, Some(interface), method, &()).await
        };
        let role = call(ACCESSIBLE, "GetRole").await?.body().deserialize()?;
        let name = self.bus.call_method(Some(bus.as_str()), path, Some(PROPERTIES), "Get", &(ACCESSIBLE, "Name")).await?;
        let name = name.body().deserialize::<Value<'_>>()?.downcast_ref::<String>().unwrap_or_default();
        let place =
            self.bus.call_method(Some(bus.as_str()), path, Some("org.a11y.atspi.Component"), "GetExtents", &IN_WINDOW).await;
        let place = place.ok().and_then(|place| place.body().deserialize().ok()).unwrap_or_default();
        let text = match role {
            ENTRY => {
                let all = self.bus.call_method(Some(bus.as_str()), path, Some("org.a11y.atspi.Text"), "GetText", &(0, -1)).await;
                all.ok().and_then(|all| all.body().deserialize().ok()).unwrap_or_default()
            }
            _ => String::new(),
        };
        Ok(Seen { role, name, text, place })
    }
}
