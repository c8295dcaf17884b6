//! A client that costs next to nothing, so that what is measured is the service: one connection that stays open, and
//! requests that are bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

/// An open connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

/// When a reply came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    /// Until the first piece with the wanted words; of a reply in one piece, as `whole`.
    pub(super) first: Duration,
    /// Until all of it was there.
    pub(super) whole: Duration,
}

impl Connection {
    pub(super) fn open(url: &str) -> Connection {
        let address = url.strip_prefix("http://").unwrap().to_owned();
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream: BufReader::new(stream), address }
    }

    /// Posts a body and reads the reply, which must have status 200. `first` are words that the first piece of a
    /// reply in pieces has.
    pub(super) fn ask(&mut self, route: &str, body: &Value, first: &str) -> Timed {
        let body = body.to_string();
        let head = format!(
            "POST {route} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let begun = Instant::now();
        self.stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
        let (status, length) = self.head();
        let mut came = None;
        let reply = match length {
            Some(length) => self.exactly(length),
            None => self.pieces(|piece| {
                if came.is_none() && has(piece, first.as_bytes()) {
                    came = Some(begun.elapsed());
                }
            }),
        };
        let whole = begun.elapsed();
        assert_eq!(status, 200, "{route}: {}", String::from_utf8_lossy(&reply));
        Timed { first: came.unwrap_or(whole), whole }
    }

    /// The status, and how long the body is; `None` where it comes in pieces.
    fn head(&mut self) -> (u16, Option<usize>) {
        let status = self.line();
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = None;
        loop {
            let line = self.line().to_ascii_lowercase();
            if line.is_empty() {
                return (status, length);
            }
            length = line.strip_prefix("content-length: ").map(|it| it.parse().unwrap()).or(length);
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the connection ended: {line:?}");
        line.trim_end().to_owned()
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn pieces(&mut self, mut see: impl FnMut(&[u8])) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line(), 16).unwrap();
            let piece = self.exactly(length);
            self.line();
            if length == 0 {
                return all;
            }
            see(&piece);
            all.extend(piece);
        }
    }
}

fn has(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}
