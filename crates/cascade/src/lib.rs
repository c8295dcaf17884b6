//! What stands before the reasoner: small trained filters that have proven their recall, the audit that
//! keeps proving it, and the budget for safety compute.
//!
//! Plain arithmetic and threads: no network, and no files but the bytes that the caller brings and the directory that
//! [`embed`] is pointed at.

pub mod audit;
mod budget;
mod budgeted;
mod cache;
mod calibrate;
mod dense;
pub mod embed;
mod encoder;
mod error;
mod evidence;
pub mod features;
mod file;
mod filter;
mod head;
mod held;
mod judge;
pub mod linear;
mod prints;
mod promise;
mod promote;
mod reads;
mod route;
mod routed;
mod scorer;
mod stage;
mod table;
pub mod text;
mod train;
mod voted;

pub use budget::{
    Budget, BudgetSettings, Decision, Event, Grant, Happening, Item, Limit, PerEffort, Rung,
    Standing, Step, Ticket, Unit, Wait, WhenSpent,
};
pub use budgeted::{BudgetedJudge, GivenUp, HostMeter, Listener, Spending};
pub use cache::{CacheCounts, Hit, Question, Remembered, VerdictCache};
pub use calibrate::{calibrate, scored};
pub use encoder::{Encoder, MAX_WINDOWS, Windows};
pub use error::CascadeError;
pub use evidence::{Evidence, PromiseRow, WeightedShare};
pub use filter::{About, Contribution, Filter, FilterScore, readable};
pub use judge::CascadeJudge;
pub use prints::Prints;
pub use promise::{MAX_RECALL, Promise};
pub use promote::{Comparison, Contest, Edge, Promotion, Ruling, compare};
pub use reads::{DenseSource, Reads};
pub use route::{Answer, Doubt, Learned, Next, RouteRow, Routes, learn as learn_routes};
pub use routed::{EFFORTS, RouteCounts, RoutedJudge};
pub use scorer::Scorer;
pub use stage::{Agreement, FilterStage};
pub use train::{
    HeldOutScore, LabelReport, MIN_SIDE, Reading, Row, Stretch, TrainSettings, TrainingReport,
    passing_for, recall_passing, train, train_and_score,
};
pub use voted::VotedJudge;
