//! Vector and matrix code: the only home of SIMD.
