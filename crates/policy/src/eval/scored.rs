//! A content's score beside the truth.

/// What a judge scored, and whether the content violates.
///
/// An undetermined verdict has no score and is none of these; [`super::Confusion`] counts it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    truth: bool,
    score: f64,
}

impl Scored {
    /// `None` unless the score is finite. Curves take any score; reliability and calibration read
    /// it as a probability and take what is outside 0 to 1 as 0 or 1.
    pub fn new(truth: bool, score: f64) -> Option<Scored> {
        score.is_finite().then_some(Scored { truth, score })
    }

    /// Whether it violates.
    pub fn truth(self) -> bool {
        self.truth
    }

    /// The score; higher means more likely a violation.
    pub fn score(self) -> f64 {
        self.score
    }

    /// The score as a probability, from 0 to 1.
    pub fn probability(self) -> f64 {
        self.score.clamp(0.0, 1.0)
    }
}
