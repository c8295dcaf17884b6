//! Stored formats into `f32`, exactly.

/// The 16 values of a 4-bit float (E2M1): index 8 and above are the negatives.
pub(crate) const FP4: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// `2^(byte - 127)`; byte 0 is the subnormal `2^-127`.
pub(crate) fn scale(byte: u8) -> f32 {
    match byte {
        0 => f32::from_bits(0x0040_0000),
        byte => f32::from_bits(u32::from(byte) << 23),
    }
}

pub(crate) fn bf16(bytes: &[u8], out: &mut [f32]) {
    for (cell, out) in bytes.as_chunks::<2>().0.iter().zip(out) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes(*cell)) << 16);
    }
}

pub(crate) fn f16(bytes: &[u8], out: &mut [f32]) {
    for (cell, out) in bytes.as_chunks::<2>().0.iter().zip(out) {
        *out = half(u16::from_le_bytes(*cell));
    }
}

/// An IEEE half as `f32`: sign, 5 bits of exponent, 10 bits of fraction.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = ((bits >> 10) & 31, u32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction as f32 * 2.0_f32.powi(-24),
        31 => f32::from_bits(0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(((u32::from(exponent) + 112) << 23) | (fraction << 13)),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}
