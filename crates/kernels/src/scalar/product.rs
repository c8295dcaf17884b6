//! Sums of products.

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| a.mul_add(*b, sum))
}

pub(crate) fn add_scaled(out: &mut [f32], factor: f32, x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = x.mul_add(factor, *out);
    }
}

pub(crate) fn tile(x: &[f32], w: &[f32], n_in: usize, out: &mut [f32]) {
    let rows = x.chunks_exact(n_in).zip(out.chunks_exact_mut(w.len() / n_in));
    for (x, out) in rows {
        for (w, out) in w.chunks_exact(n_in).zip(out) {
            *out = dot(x, w);
        }
    }
}
