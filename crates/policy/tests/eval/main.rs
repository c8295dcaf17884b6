//! The statistics of evaluation, held against scikit-learn, scipy and statsmodels
//! (`fixtures/eval/make.py`), and what must hold of them for any input.

mod compare;
mod confusion;
mod groups;
mod intervals;
mod paired;
mod properties;
mod scores;
