//! What the guard adds to a streamed reply: until its first text, and until its end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::connection::{Connection, Timed};
use super::rates::quantile;
use super::{JUDGES, ms};
use crate::{Service, upstream};

/// Replies that are measured, one after the other.
const N_REPLIES: usize = 20;
/// The pause of the other model before each piece.
const PAUSE: Duration = Duration::from_millis(10);

/// Prints a table: the other model alone, then behind the guard in each mode with each judge.
pub(super) fn measure(folder: &Path) {
    let upstream = upstream::start(PAUSE);
    let n_chars = upstream::reply().chars().count();
    println!(
        "\na reply of {n_chars} characters in {} pieces, {} ms before each",
        upstream::N_PIECES,
        PAUSE.as_millis()
    );
    println!(
        "\n| guard | judge | first text: p50, ms | p99, ms | whole reply: p50, ms | p99, ms | added, p50: first, ms | whole, ms |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let alone = replies(&upstream);
    row("none", "", &alone, &alone);
    for judge in JUDGES {
        for mode in ["live", "window", "hold"] {
            let guard = format!(
                "[serve.guard]\nupstream = \"{upstream}\"\noutput = \"{mode}\"\nmode = \"score\"\n"
            );
            std::fs::write(folder.join("guard.toml"), guard).unwrap();
            let args = [judge.args, &["--store", "none", "--config", "guard.toml"]].concat();
            let service = Service::start_to(folder, &args, Stdio::null());
            row(&format!("`{mode}`"), judge.name, &replies(&service.url), &alone);
            let (ended_well, _) = service.stop();
            assert!(ended_well);
        }
    }
}

fn replies(url: &str) -> Vec<Timed> {
    let mut connection = Connection::open(url);
    let reply = |number: usize| {
        let says = format!("Tell me of garden {number}.");
        let body = json!({ "model": "gpt-x", "stream": true, "messages": [{ "role": "user", "content": says }] });
        connection.ask("/v1/chat/completions", &body, "beans")
    };
    (0..N_REPLIES).map(reply).collect()
}

fn row(mode: &str, judge: &str, replies: &[Timed], alone: &[Timed]) {
    let first: Vec<Duration> = replies.iter().map(|it| it.first).collect();
    let whole: Vec<Duration> = replies.iter().map(|it| it.whole).collect();
    let p50 = |of: fn(&Timed) -> Duration| {
        let [now, before] =
            [replies, alone].map(|it| quantile(&it.iter().map(of).collect::<Vec<_>>(), 0.5));
        format!("{:+.2}", (now.as_secs_f64() - before.as_secs_f64()) * 1e3)
    };
    println!(
        "| {mode} | {judge} | {} | {} | {} | {} | {} | {} |",
        ms(quantile(&first, 0.5)),
        ms(quantile(&first, 0.99)),
        ms(quantile(&whole, 0.5)),
        ms(quantile(&whole, 0.99)),
        p50(|it| it.first),
        p50(|it| it.whole),
    );
}
