//! A webhook's other end: takes messages over real connections, answers as the test says, and hands on what came.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Channel, Sender, channel};
use std::time::Duration;

use serde_json::Value;

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// With small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a message is JSON")
    }
}

/// Listens until the test's process ends.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Channel<Received>,
}

/// What is answered to a message: the head of a response behind `HTTP/1.1 `.
pub(crate) type Answer = dyn Fn(&Received) -> String + Send + Sync;

/// What says that a message was taken.
pub(crate) fn ok(_: &Received) -> String {
    "204 No Content".to_owned()
}

impl Receiver {
    pub(crate) fn start(answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url =
            format!("http://{}/hook?key=cinnabar", listener.local_addr().expect("an address"));
        let (sender, received) = channel();
        let answer: Arc<Answer> = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, answer) = (sender.clone(), Arc::clone(&answer));
                // A service that is killed leaves its connections in the middle.
                std::thread::spawn(move || serve(&stream, &sender, &*answer));
            }
        });
        Receiver { url, received }
    }

    /// The next message.
    pub(crate) fn next(&self) -> Received {
        self.received.recv_timeout(Duration::from_secs(60)).expect("a message")
    }

    /// The next message, if there is one already.
    pub(crate) fn next_now(&self) -> Option<Received> {
        self.received.try_recv().ok()
    }
}

fn serve(stream: &TcpStream, sender: &Sender<Received>, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
        assert!(line.starts_with("POST /hook?key=cinnabar "), "{line}");
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let received = Received { headers, body: String::from_utf8(body).ok()? };
        let head = answer(&received);
        // Whoever tests may have heard enough.
        let _ = sender.send(received);
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
