//! A random stream that can be read at any place: each number depends on seed and position alone.

/// 2^64 divided by the golden ratio, the step of `SplitMix64` (Steele, Lea, Flood 2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number at `position` of the stream `seed`, uniform in `[0, 1)`.
pub(crate) fn uniform(seed: u64, position: usize) -> f64 {
    // The seed is mixed first, so that neighbouring seeds are not shifted copies of one stream.
    let bits = mix(mix(seed).wrapping_add((position as u64 + 1).wrapping_mul(GOLDEN)));
    // 53 bits fill a double's mantissa exactly.
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// The finaliser of `SplitMix64`: every input bit changes every output bit half of the time.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_splitmix64() {
        // First outputs of the published generator started at 0: state GOLDEN, then 2 GOLDEN.
        assert_eq!(mix(GOLDEN), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(GOLDEN.wrapping_mul(2)), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn fills_the_unit_interval_evenly() {
        for seed in [0, 1, u64::MAX] {
            let mut counts = [0usize; 10];
            for position in 0..20_000 {
                counts[(uniform(seed, position) * 10.0) as usize] += 1;
            }
            // 2000 expected in each, standard deviation 42.
            assert!(counts.iter().all(|n| (1_790..2_210).contains(n)), "{counts:?}");
        }
    }

    #[test]
    fn differs_between_seeds_and_positions() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..50 {
            for position in 0..50 {
                assert!(seen.insert(uniform(seed, position).to_bits()));
            }
        }
    }
}
