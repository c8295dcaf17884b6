//! Days as flags give them.

use anyhow::{Result, bail};
use store::Millis;

const DAY_MS: i64 = 86_400_000;

/// The first moment of a day in UTC, from `YYYY-MM-DD`.
pub(crate) fn day(text: &str) -> Result<Millis> {
    let parts: Vec<_> = text.split('-').map(str::parse::<i64>).collect();
    let [Ok(year), Ok(month), Ok(day)] = parts[..] else { bail!("write a day as 2026-11-24") };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        bail!("write a day as 2026-11-24");
    }
    // Months begin in March, so that the leap day is a year's last: Hinnant, `days_from_civil`.
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let millis = Millis(days * DAY_MS);
    if millis.day() != text {
        bail!("{text} is no day");
    }
    Ok(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_they_are_written() {
        for text in ["1970-01-01", "2000-02-29", "2026-11-24", "2100-03-01", "9999-12-31"] {
            assert_eq!(day(text).unwrap().rfc3339(), format!("{text}T00:00:00.000Z"));
        }
        for text in ["", "2026", "2026-13-01", "2026-02-29", "2026-1-1", "26-11-24", "x-y-z"] {
            assert!(day(text).is_err(), "{text}");
        }
    }
}
