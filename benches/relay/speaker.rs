//! One client's connection: just enough of WebSocket with the relay's messages, of MQTT 3.1.1 at QoS 1, and of the NATS protocol.

use super::service::Kind;
use super::{PAIRS, PAYLOAD_BYTES};
use alcove::proto::id::PutId;
use alcove::proto::io::{ReadKey, RelayCommand};
use alcove::proto::secret::Key;
use alcove::shell::relay::message::{Reply, decode_reply, encode_command};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A publisher or a subscriber.
pub struct Speaker {
    kind: Kind,
    pair: usize,
    said: u64,
    from: BufReader<TcpStream>,
    to: TcpStream,
}

impl Speaker {
    /// Reads what its pair publishes.
    pub fn subscriber(kind: Kind, address: SocketAddr, pair: usize) -> Speaker {
        let mut speaker = Speaker::connect(kind, address, pair, "s");
        match kind {
            Kind::AlcoveInMemory | Kind::AlcoveOnDisk => {
                speaker.say_command(&RelayCommand::Subscribe { read_key: mailbox(pair), after: 0 });
                assert!(matches!(speaker.hear_reply(), Reply::CaughtUp { .. }));
            }
            Kind::Mosquitto => {
                let topic = topic(pair);
                let body = [&[0, 1][..], &text(&topic), &[1]].concat();
                speaker.say_packet(0x82, &body);
                assert_eq!(speaker.hear_packet().0, 0x90, "SUBACK");
            }
            Kind::Nats | Kind::JetStream => {
                speaker.say(format!("SUB {} 1\r\nPING\r\n", topic(pair)).as_bytes());
                while speaker.hear_line() != "PONG" {}
            }
        }
        speaker
    }

    /// Publishes for its pair.
    pub fn publisher(kind: Kind, address: SocketAddr, pair: usize) -> Speaker {
        let mut speaker = Speaker::connect(kind, address, pair, "p");
        if kind == Kind::JetStream {
            speaker.say(format!("SUB {} 2\r\n", inbox(pair)).as_bytes());
            if pair + 1 == PAIRS {
                let stream = r#"{"name":"talks","subjects":["talk.*"],"storage":"file","retention":"limits","discard":"old"}"#;
                let line = format!("PUB $JS.API.STREAM.CREATE.talks {} {}\r\n{stream}\r\n", inbox(pair), stream.len());
                speaker.say(line.as_bytes());
                speaker.hear_acknowledgement();
            }
        }
        speaker
    }

    /// One message more.
    pub fn publish(&mut self) {
        self.said += 1;
        match self.kind {
            Kind::AlcoveInMemory | Kind::AlcoveOnDisk => {
                let to = mailbox(self.pair).write_name();
                let blob = vec![0xa5; PAYLOAD_BYTES];
                self.say_command(&RelayCommand::Put { id: PutId(self.said), to, blob, hours: 24, delete_hash: [1; 16] });
            }
            Kind::Mosquitto => {
                let number = (self.said % 0xffff + 1) as u16;
                let body = [&text(&topic(self.pair))[..], &number.to_be_bytes(), &[0xa5; PAYLOAD_BYTES]].concat();
                self.say_packet(0x32, &body);
            }
            Kind::Nats => {
                let line = format!("PUB {} {PAYLOAD_BYTES}\r\n", topic(self.pair));
                self.say(&[line.as_bytes(), &[0xa5; PAYLOAD_BYTES], b"\r\n"].concat());
            }
            Kind::JetStream => {
                let line = format!("PUB {} {} {PAYLOAD_BYTES}\r\n", topic(self.pair), inbox(self.pair));
                self.say(&[line.as_bytes(), &[0xa5; PAYLOAD_BYTES], b"\r\n"].concat());
            }
        }
    }

    /// Waits until the server has taken one.
    pub fn hear_acknowledgement(&mut self) {
        match self.kind {
            Kind::AlcoveInMemory | Kind::AlcoveOnDisk => assert!(matches!(self.hear_reply(), Reply::Stored { .. })),
            Kind::Mosquitto => assert_eq!(self.hear_packet().0, 0x40, "PUBACK"),
            Kind::Nats => assert_eq!(self.hear_line(), "+OK"),
            Kind::JetStream => {
                let answer = self.hear_nats();
                assert!(!String::from_utf8_lossy(&answer).contains("error"), "{}", String::from_utf8_lossy(&answer));
            }
        }
    }

    /// Waits for a message.
    pub fn hear_message(&mut self) {
        let length = match self.kind {
            Kind::AlcoveInMemory | Kind::AlcoveOnDisk => match self.hear_reply() {
                Reply::Blob { blob, .. } => blob.len(),
                other => panic!("no blob: {other:?}"),
            },
            Kind::Mosquitto => {
                let (first, body) = self.hear_packet();
                assert_eq!(first & 0xf6, 0x32, "PUBLISH at QoS 1");
                let number = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                self.say_packet(0x40, &body[number..number + 2]);
                body.len() - number - 2
            }
            Kind::Nats | Kind::JetStream => self.hear_nats().len(),
        };
        assert_eq!(length, PAYLOAD_BYTES);
    }

    fn connect(kind: Kind, address: SocketAddr, pair: usize, role: &str) -> Speaker {
        let to = TcpStream::connect(address).expect("the server listens");
        to.set_nodelay(true).expect("a TCP socket");
        to.set_read_timeout(Some(Duration::from_secs(60))).expect("a TCP socket");
        let from = BufReader::with_capacity(64 * 1024, to.try_clone().expect("a TCP socket"));
        let mut speaker = Speaker { kind, pair, said: 0, from, to };
        match kind {
            Kind::AlcoveInMemory | Kind::AlcoveOnDisk => {
                speaker.say(
                    b"GET /v1/ws HTTP/1.1\r\nHost: r\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                );
                assert!(speaker.hear_line().contains(" 101 "));
                while !speaker.hear_line().is_empty() {}
            }
            Kind::Mosquitto => {
                let name = format!("{role}{pair}");
                speaker.say_packet(0x10, &[&text("MQTT")[..], &[4, 2, 0, 0], &text(&name)].concat());
                assert_eq!(speaker.hear_packet(), (0x20, vec![0, 0]), "CONNACK");
            }
            Kind::Nats | Kind::JetStream => {
                assert!(speaker.hear_line().starts_with("INFO "));
                // Only a publisher without JetStream needs a word for each message.
                let verbose = kind == Kind::Nats && role == "p";
                speaker.say(format!("CONNECT {{\"verbose\":{verbose},\"pedantic\":false}}\r\n").as_bytes());
                if verbose {
                    assert_eq!(speaker.hear_line(), "+OK");
                }
            }
        }
        speaker
    }

    fn say(&mut self, bytes: &[u8]) {
        self.to.write_all(bytes).expect("the server takes it");
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes).expect("the server says it");
        bytes
    }

    // ---- WebSocket (RFC 6455) ----------------------------------------------------------------------------------------------------

    fn say_command(&mut self, command: &RelayCommand) {
        let message = encode_command(command).expect("a blob of its size");
        // Masked, as a client must, with a mask of zeros.
        let head = [&[0x82, 0x80 | 126][..], &(message.len() as u16).to_be_bytes(), &[0; 4]].concat();
        self.say(&[head, message].concat());
    }

    fn hear_reply(&mut self) -> Reply {
        loop {
            let head = self.take(2);
            let length = match head[1] {
                126 => u16::from_be_bytes(self.take(2).try_into().expect("two")).into(),
                length => usize::from(length),
            };
            let message = self.take(length);
            if head[0] == 0x82 {
                return decode_reply(&message).expect("a reply");
            }
        }
    }

    // ---- MQTT 3.1.1 ---------------------------------------------------------------------------------------------------------------

    fn say_packet(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut rest = body.len();
        loop {
            let byte = (rest % 128) as u8;
            rest /= 128;
            packet.push(if rest > 0 { byte | 0x80 } else { byte });
            if rest == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.say(&packet);
    }

    fn hear_packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.take(1)[0];
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.take(1)[0];
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        (first, self.take(length))
    }

    // ---- NATS ---------------------------------------------------------------------------------------------------------------------

    /// A line; a ping of the server is answered and not told.
    fn hear_line(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line).expect("the server says it");
            assert!(!line.is_empty(), "the server ended the connection");
            match line.trim_end() {
                "PING" => self.say(b"PONG\r\n"),
                line => return line.to_owned(),
            }
        }
    }

    /// The content of a message.
    fn hear_nats(&mut self) -> Vec<u8> {
        let line = self.hear_line();
        assert!(line.starts_with("MSG "), "{line}");
        let length: usize = line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a length");
        let mut content = self.take(length + 2);
        content.truncate(length);
        content
    }
}

fn mailbox(pair: usize) -> ReadKey {
    ReadKey(Key([pair as u8 + 1; 32]))
}

fn topic(pair: usize) -> String {
    format!("talk.{pair}")
}

fn inbox(pair: usize) -> String {
    format!("_INBOX.{pair}")
}

/// A string of MQTT.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}
