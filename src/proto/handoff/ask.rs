//! A scanned code, proven over a link that stands already: between two who are linked by radio there cannot be a second link.
//!
//! What `XKpsk0` gives a fresh link, three values give a standing one. Both sides know the code's one-time secret; the asker shows it
//! by a MAC over the link's handshake hash, so that nobody between two links can pass it on; the answer's key also comes of the code's
//! private key, which no photograph of the code holds.
//!
//! Law: a question opens one code on one link and tells those who do not show that code nothing.

use crate::proto::secret::Key;
use x25519_dalek::{PublicKey, StaticSecret};

/// Who holds a code asks whether it is the other's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// The asker's one-time X25519 key (RFC 7748).
    pub public: [u8; 32],
    /// A MAC under the code's secret.
    pub proof: [u8; 32],
}

impl Ask {
    /// The question on this link, with the asker's one-time private key.
    pub fn new(psk: &Key, private: &Key, link: &[u8; 32]) -> Ask {
        let public = PublicKey::from(&StaticSecret::from(private.0)).to_bytes();
        Ask { public, proof: asking(psk).mac(&[link, &public]) }
    }

    /// The answer of whoever shows the code; `None` if the question is not about it.
    pub fn answer(&self, psk: &Key, private: &Key, link: &[u8; 32]) -> Option<[u8; 32]> {
        let is_asked = asking(psk).verifies(&[link, &self.public], &self.proof);
        is_asked.then(|| answering(psk, private, &self.public).map(|key| key.mac(&[link]))).flatten()
    }
}

/// Whether the device of the code with this public key gave the answer.
pub fn is_answer(psk: &Key, private: &Key, public: &[u8; 32], link: &[u8; 32], answer: &[u8; 32]) -> bool {
    answering(psk, private, public).is_some_and(|key| key.verifies(&[link], answer))
}

fn asking(psk: &Key) -> Key {
    psk.derive("alcove/1 code asked for", &[])
}

fn answering(psk: &Key, private: &Key, public: &[u8; 32]) -> Option<Key> {
    let shared = StaticSecret::from(private.0).diffie_hellman(&PublicKey::from(*public));
    shared.was_contributory().then(|| psk.derive("alcove/1 code answered", shared.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PSK: Key = Key([1; 32]);
    const ASKER: Key = Key([2; 32]);
    const SHOWER: Key = Key([3; 32]);
    const LINK: [u8; 32] = [4; 32];

    fn public(private: &Key) -> [u8; 32] {
        PublicKey::from(&StaticSecret::from(private.0)).to_bytes()
    }

    #[test]
    fn the_codes_device_answers_on_this_link_and_on_no_other() {
        let ask = Ask::new(&PSK, &ASKER, &LINK);
        let answer = ask.answer(&PSK, &SHOWER, &LINK).unwrap();
        assert!(is_answer(&PSK, &ASKER, &public(&SHOWER), &LINK, &answer));
        assert!(!is_answer(&PSK, &ASKER, &public(&SHOWER), &[5; 32], &answer));
        assert_eq!(ask.answer(&PSK, &SHOWER, &[5; 32]), None, "passed on to another link");
        assert_eq!(ask.answer(&Key([9; 32]), &SHOWER, &LINK), None, "another code");
    }

    #[test]
    fn who_photographed_the_code_cannot_answer_for_its_device() {
        let ask = Ask::new(&PSK, &ASKER, &LINK);
        let forged = ask.answer(&PSK, &Key([6; 32]), &LINK).unwrap();
        assert!(!is_answer(&PSK, &ASKER, &public(&SHOWER), &LINK, &forged));
        let weak = Ask { public: [0; 32], proof: asking(&PSK).mac(&[&LINK, &[0; 32]]) };
        assert_eq!(weak.answer(&PSK, &SHOWER, &LINK), None, "a key of small order");
    }
}
