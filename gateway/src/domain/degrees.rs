//! Latitudes and longitudes: exact to seven decimals, which are 11 mm on the ground.

use serde::{Serialize, Serializer};

/// Units of a degree.
const UNITS: f64 = 1e7;

/// A latitude or longitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Degrees(i32);

impl Degrees {
    /// Rounds to seven decimals; `None` beyond `most` degrees, which are at most 180.
    ///
    /// ```
    /// use gateway::domain::degrees::Degrees;
    /// assert_eq!(Degrees::new(23.129_110_04, 90).map(Degrees::value), Some(23.129_11));
    /// assert!(Degrees::new(90.1, 90).is_none() && Degrees::new(f64::NAN, 180).is_none());
    /// ```
    pub fn new(degrees: f64, most: u8) -> Option<Self> {
        let is_within = degrees.abs() <= f64::from(most);
        #[expect(clippy::cast_possible_truncation, reason = "180 degrees are less than 2^31 units")]
        is_within.then(|| Self((degrees * UNITS).round() as i32))
    }

    /// In degrees.
    pub fn value(self) -> f64 {
        f64::from(self.0) / UNITS
    }
}

impl Serialize for Degrees {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }
}
