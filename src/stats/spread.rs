use super::decayed::{middle, place};
use serde::{Deserialize, Serialize};

/// The least values that a quantile of one window is told of, and the least attempts that a share is.
pub const SAMPLES_MIN: u64 = 10;

/// How values lie: a histogram of which only the buckets that hold something are kept, in ascending order. A
/// value is known to within a tenth.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread(Vec<(u8, u64)>);

/// The values that half, three quarters, nine tenths and 99 of a hundred values lie below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// Three quarters lie below it.
    pub p75: f64,
    /// Nine tenths.
    pub p90: f64,
    /// 99 of a hundred.
    pub p99: f64,
}

impl Spread {
    /// Takes note of a value; what is not positive is none.
    pub(super) fn observe(&mut self, value: f64) {
        if value.is_finite() && value > 0.0 {
            self.put(u8::try_from(place(value)).unwrap_or(u8::MAX), 1);
        }
    }

    /// Takes over all values of another.
    pub(super) fn add(&mut self, other: &Self) {
        for (bucket, n) in &other.0 {
            self.put(*bucket, *n);
        }
    }

    /// How many values were seen.
    pub fn samples(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// What the values are like; `None` of fewer than [`SAMPLES_MIN`].
    pub fn percentiles(&self) -> Option<Percentiles> {
        let samples = self.samples();
        (samples >= SAMPLES_MIN).then(|| Percentiles {
            p50: self.value(samples, 50),
            p75: self.value(samples, 75),
            p90: self.value(samples, 90),
            p99: self.value(samples, 99),
        })
    }

    /// The smallest value that so many of a hundred are not above (nearest rank).
    fn value(&self, samples: u64, of_a_hundred: u64) -> f64 {
        let rank = samples.saturating_mul(of_a_hundred).div_ceil(100);
        let mut seen = 0u64;
        let reached = self.0.iter().find(|(_, n)| {
            seen = seen.saturating_add(*n);
            seen >= rank
        });
        reached.map_or(0.0, |(bucket, _)| middle(usize::from(*bucket)))
    }

    fn put(&mut self, bucket: u8, n: u64) {
        match self.0.binary_search_by_key(&bucket, |(b, _)| *b) {
            Ok(at) => {
                if let Some((_, count)) = self.0.get_mut(at) {
                    *count = count.saturating_add(n);
                }
            }
            Err(at) => self.0.insert(at, (bucket, n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_few_values_say_nothing_and_what_is_no_time_is_none() {
        let mut seen = Spread::default();
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            seen.observe(value);
        }
        assert_eq!(seen.samples(), 0);
        for _ in 1..SAMPLES_MIN {
            seen.observe(1.0);
        }
        assert_eq!(seen.percentiles(), None);
        seen.observe(1.0);
        assert!(seen.percentiles().is_some());
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_values_to_within_a_tenth_however_they_were_put_together(
            mut values in prop::collection::vec(0.002f64..30_000.0, 10..80),
            cut in 0usize..80,
        ) {
            let (first, rest) = values.split_at(cut.min(values.len()));
            let of = |values: &[f64]| {
                let mut seen = Spread::default();
                for value in values {
                    seen.observe(*value);
                }
                seen
            };
            let mut seen = of(first);
            seen.add(&of(rest));
            prop_assert_eq!(&seen, &of(&values));
            let told = seen.percentiles().expect("enough values");
            values.sort_by(f64::total_cmp);
            for (q, value) in [(50, told.p50), (75, told.p75), (90, told.p90), (99, told.p99)] {
                let rank = (values.len() * q).div_ceil(100);
                let exact = values[rank - 1];
                prop_assert!((value / exact - 1.0).abs() < 0.1, "p{}: {} for {}", q, value, exact);
            }
        }
    }
}
