//! How long to wait between two attempts: as long as the server asks, or twice as long each time.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often to ask again for a passing reason, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in all.
    pub attempts: u32,
    /// The pause after the first attempt; each later one is twice as long, up to 30 seconds.
    pub first_pause: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { attempts: 5, first_pause: Duration::from_millis(500) }
    }
}

/// Longest pause that is not the server's own wish.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Patience {
    /// The pause after attempt `attempt`, from 1; `None` when it was the last.
    pub(super) fn pause(self, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << (attempt - 1).min(16));
        Some(asked.unwrap_or_else(|| jittered(doubled.min(LONGEST_PAUSE))))
    }
}

/// How long the server asks to be left alone: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// With up to a quarter more, so that many callers do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without random numbers there is no jitter, which is no harm.
    let _ = getrandom::fill(&mut byte);
    pause + pause.mul_f64(f64::from(byte[0]) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn a_server_asks_in_seconds_or_with_a_date() {
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(asked("Fri, 31 Dec 9999 23:59:59 GMT") > Some(Duration::from_secs(1 << 30)));
        for nothing in ["", "soon", "-1", "1.5", "99999999999999999999"] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_end() {
        let patience = Patience { attempts: 40, ..Patience::default() };
        for (attempt, millis) in [(1, 500), (2, 1_000), (4, 4_000), (8, 30_000), (39, 30_000)] {
            let pause = patience.pause(attempt, None).expect("not the last");
            let shortest = Duration::from_millis(millis);
            assert!(pause >= shortest && pause <= shortest.mul_f64(1.25), "{attempt}: {pause:?}");
        }
        assert_eq!(patience.pause(40, None), None);
        let wish = Some(Duration::from_secs(99));
        assert_eq!((patience.pause(1, wish), patience.pause(40, wish)), (wish, None));
    }
}
