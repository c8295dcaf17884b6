//! Many requests at once over one model: scheduling, sampling, cached keys and values, bound output.
