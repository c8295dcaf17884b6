//! Agreement of several verdicts on one item: with the truth under several policies, and among
//! repeats.

use std::cmp::Ordering;

use serde::Serialize;

use super::share::Share;

/// The share of cases in which every policy's answer is right. A case is its policies' truths and
/// answers, `None` where undetermined, which is not right; a case without policies does not count.
pub fn exact_match<T, C>(cases: impl IntoIterator<Item = C>) -> Share
where
    T: PartialEq,
    C: IntoIterator<Item = (T, Option<T>)>,
{
    Share::count(cases.into_iter().filter_map(|case| {
        let mut policies = case.into_iter().peekable();
        policies.peek()?;
        Some(policies.all(|(truth, said)| said == Some(truth)))
    }))
}

/// The share of verdicts that differ from the most common one, from 0 to below 1: Freeman's
/// variation ratio. `None` without verdicts. Undetermined is a verdict like any other here.
pub fn instability<T: PartialEq>(verdicts: &[T]) -> Option<f64> {
    let mut kinds: Vec<(&T, usize)> = Vec::new();
    for verdict in verdicts {
        match kinds.iter_mut().find(|(kind, _)| *kind == verdict) {
            Some((_, count)) => *count += 1,
            None => kinds.push((verdict, 1)),
        }
    }
    let most = kinds.into_iter().map(|(_, count)| count).max()?;
    Some((verdicts.len() - most) as f64 / verdicts.len() as f64)
}

/// An item whose repeats do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Unstable {
    /// Its place in the list.
    pub place: usize,
    /// How many verdicts it has.
    pub n_verdicts: usize,
    /// As [`instability`] says.
    pub instability: f64,
}

/// The items whose repeats do not agree, most unstable first, then in the order of the list.
pub fn most_unstable<T: PartialEq>(items: &[Vec<T>]) -> Vec<Unstable> {
    let mut unstable: Vec<Unstable> = items
        .iter()
        .enumerate()
        .filter_map(|(place, verdicts)| {
            let instability = instability(verdicts).filter(|&share| share > 0.0)?;
            Some(Unstable { place, n_verdicts: verdicts.len(), instability })
        })
        .collect();
    unstable.sort_by(|a, b| b.instability.partial_cmp(&a.instability).unwrap_or(Ordering::Equal));
    unstable
}

/// The share of items whose repeats all agree, of those with at least two.
pub fn unanimous<T: PartialEq>(items: &[Vec<T>]) -> Share {
    let repeated = items.iter().filter(|verdicts| verdicts.len() > 1);
    Share::count(repeated.map(|verdicts| verdicts.windows(2).all(|pair| pair[0] == pair[1])))
}
