//! How the app looks and speaks to this person: a small file beside the vault, with nothing secret in it.
//!
//! Law: a file that cannot be read is set aside under another name and never overwritten.

use alcove_ui::{Scheme, Tongue};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "settings.json";

/// What can be set.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// "system", "en" or "de".
    pub language: String,
    /// "system", "light" or "dark".
    pub look: String,
    /// Black on white, or white on black.
    pub high_contrast: bool,
    /// Nothing moves by itself.
    pub reduced_motion: bool,
    /// 1.0 to 2.0.
    pub text_scale: f32,
    /// Width and height of the window, in logical pixels.
    pub window: Option<(f32, f32)>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            language: "system".into(),
            look: "system".into(),
            high_contrast: false,
            reduced_motion: false,
            text_scale: 1.0,
            window: None,
        }
    }
}

impl Settings {
    /// Reads them; the usual ones if there are none. If the file is broken it is set aside, and where it is then comes too.
    pub fn read(profile: &Path) -> (Settings, Option<PathBuf>) {
        let path = profile.join(FILE);
        let Ok(text) = fs::read_to_string(&path) else {
            return if path.exists() { (Settings::default(), set_aside(&path)) } else { (Settings::default(), None) };
        };
        match serde_json::from_str::<Settings>(&text) {
            Ok(settings) => (Settings { text_scale: settings.text_scale.clamp(1.0, 2.0), ..settings }, None),
            Err(_) => (Settings::default(), set_aside(&path)),
        }
    }

    /// Writes them, whole or not at all.
    ///
    /// # Errors
    /// The disk.
    pub fn write(&self, profile: &Path) -> io::Result<()> {
        let (path, draft) = (profile.join(FILE), profile.join("settings.json.new"));
        fs::write(&draft, serde_json::to_string_pretty(self)?)?;
        fs::rename(draft, path)
    }

    /// Which language was chosen.
    pub fn tongue(&self) -> Tongue {
        match self.language.as_str() {
            "en" => Tongue::English,
            "de" => Tongue::German,
            _ => Tongue::System,
        }
    }

    /// Chooses a language.
    pub fn set_tongue(&mut self, tongue: Tongue) {
        self.language = match tongue {
            Tongue::System => "system",
            Tongue::English => "en",
            Tongue::German => "de",
        }
        .into();
    }

    /// Which look was chosen.
    pub fn scheme(&self) -> Scheme {
        match self.look.as_str() {
            "light" => Scheme::Light,
            "dark" => Scheme::Dark,
            _ => Scheme::System,
        }
    }

    /// Chooses a look.
    pub fn set_scheme(&mut self, scheme: Scheme) {
        self.look = match scheme {
            Scheme::System => "system",
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        }
        .into();
    }

    /// The language to speak: the chosen one, or the first that the system names and we have.
    pub fn spoken(&self) -> &'static str {
        let system =
            || ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        match self.tongue() {
            Tongue::English => "en",
            Tongue::German => "de",
            Tongue::System if system().is_some_and(|value| value.to_lowercase().starts_with("de")) => "de",
            Tongue::System => "en",
        }
    }
}

fn set_aside(path: &Path) -> Option<PathBuf> {
    let aside = (1..1_000).map(|number| path.with_file_name(format!("{FILE}.broken-{number}"))).find(|aside| !aside.exists())?;
    fs::rename(path, &aside).ok()?;
    Some(aside)
}

#[cfg(test)]
mod laws {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_a_broken_file_is_set_aside_and_kept() {
        let profile = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(profile.path()), (Settings::default(), None));
        let mine = Settings { language: "de".into(), text_scale: 1.5, ..Settings::default() };
        mine.write(profile.path()).unwrap();
        assert_eq!(Settings::read(profile.path()), (mine.clone(), None));
        for broken in ["{\"language\":", "[7]", "{\"text_scale\":\"large\"}"] {
            fs::write(profile.path().join(FILE), broken).unwrap();
            let (settings, aside) = Settings::read(profile.path());
            assert_eq!(settings, Settings::default());
            assert_eq!(fs::read_to_string(aside.expect("it is set aside")).unwrap(), broken);
        }
        fs::write(profile.path().join(FILE), "{\"text_scale\":90.0,\"new\":1}").unwrap();
        assert_eq!(Settings::read(profile.path()).0.text_scale, 2.0, "unknown fields are left alone, numbers kept in bounds");
    }
}
