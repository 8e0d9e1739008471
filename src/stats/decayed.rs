use serde::{Deserialize, Serialize};

/// Buckets of a histogram; each is wider than the one before by [`GROWTH`].
const BUCKETS: usize = 96;
/// With this a value is known to within a tenth.
const GROWTH: f64 = 1.2;
/// The upper end of the first bucket.
const FIRST: f64 = 0.001;

/// A histogram of positive values that forgets: what was seen a half-life ago counts half. Time comes in
/// as an argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decayed {
    buckets: Vec<f32>,
    at_ms: u64,
    half_life_ms: u64,
}

impl Decayed {
    /// An empty one.
    pub fn new(half_life_ms: u64) -> Self {
        Self {
            buckets: Vec::new(),
            at_ms: 0,
            half_life_ms,
        }
    }

    /// Takes note of a value.
    pub fn observe(&mut self, value: f64, now_ms: u64) {
        if !value.is_finite() || value <= 0.0 {
            return;
        }
        let left = self.left(now_ms);
        self.buckets.resize(BUCKETS, 0.0);
        for bucket in &mut self.buckets {
            *bucket *= left;
        }
        self.at_ms = self.at_ms.max(now_ms);
        if let Some(bucket) = self.buckets.get_mut(place(value)) {
            *bucket += 1.0;
        }
    }

    /// How many values count now.
    pub fn weight(&self, now_ms: u64) -> f64 {
        f64::from(self.buckets.iter().sum::<f32>() * self.left(now_ms))
    }

    /// The value that a share `q` of all values lies below; `None` of none.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total: f32 = self.buckets.iter().sum();
        if total <= f32::MIN_POSITIVE {
            return None;
        }
        let mut left = f64::from(total) * q.clamp(0.0, 1.0);
        let mut last = None;
        for (at, bucket) in self.buckets.iter().enumerate().filter(|(_, n)| **n > 0.0) {
            last = Some(middle(at));
            left -= f64::from(*bucket);
            if left <= 0.0 {
                break;
            }
        }
        last
    }

    /// What is left of the weight by now.
    fn left(&self, now_ms: u64) -> f32 {
        let passed = now_ms.saturating_sub(self.at_ms) as f64;
        0.5_f64.powf(passed / self.half_life_ms.max(1) as f64) as f32
    }
}

/// The bucket of a positive value.
pub(super) fn place(value: f64) -> usize {
    let at = (value / FIRST).ln() / GROWTH.ln();
    (at.max(0.0) as usize).min(BUCKETS.saturating_sub(1))
}

/// The value that stands for all of a bucket.
pub(super) fn middle(bucket: usize) -> f64 {
    FIRST * GROWTH.powf(bucket as f64 + 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn what_was_seen_long_ago_counts_little() {
        let mut seen = Decayed::new(5 * MINUTE);
        assert_eq!(seen.quantile(0.5), None);
        for _ in 0..100 {
            seen.observe(10.0, 0);
        }
        assert!((seen.weight(5 * MINUTE) - 50.0).abs() < 0.1);
        for _ in 0..20 {
            seen.observe(1.0, 60 * MINUTE);
        }
        let median = seen.quantile(0.5).expect("a median");
        assert!((0.9..1.1).contains(&median), "{median}");
    }

    #[test]
    fn what_is_no_time_is_not_counted() {
        let mut seen = Decayed::new(MINUTE);
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            seen.observe(value, 1);
        }
        assert_eq!(seen.quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_near_one_of_the_values_and_they_rise(
            values in prop::collection::vec(0.002f64..30_000.0, 1..50),
            low in 0.0f64..1.0,
            high in 0.0f64..1.0,
        ) {
            let mut seen = Decayed::new(MINUTE);
            for value in &values {
                seen.observe(*value, 7);
            }
            let at = |q| seen.quantile(q).expect("a value");
            let near = |found: f64| values.iter().any(|v| (found / v - 1.0).abs() < 0.1);
            prop_assert!(near(at(low)) && near(at(high)));
            prop_assert!(at(low.min(high)) <= at(low.max(high)));
        }
    }
}
