//! Parts of the calendar, in UTC.
//!
//! Days are turned into dates with the usual arithmetic on years that begin in March, so that the
//! leap day is a year's last. Source: Howard Hinnant, "chrono-compatible low-level date algorithms".

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
    /// Since the epoch.
    days: i64,
    /// Since midnight.
    seconds: i64,
}

impl Civil {
    /// The date of seconds since the epoch; a fraction is cut off towards the epoch. What is no 64-bit number of
    /// seconds is the last of them, to which Prometheus' arithmetic comes on x86-64.
    pub fn from_seconds(seconds: f64) -> Self {
        let seconds = if seconds.abs() < 9_223_372_036_854_775_808.0 {
            seconds as i64
        } else {
            i64::MAX
        };
        let days = seconds.div_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            days,
            seconds: seconds.rem_euclid(86_400),
        }
    }

    const fn is_leap_year(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    const fn month_length(self, month: i64) -> i64 {
        match month {
            2 if self.is_leap_year() => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

/// `year`
pub fn year(date: Civil) -> f64 {
    date.year as f64
}

/// `month`
pub fn month(date: Civil) -> f64 {
    date.month as f64
}

/// `day_of_month`
pub fn day_of_month(date: Civil) -> f64 {
    date.day as f64
}

/// `day_of_week`: Sunday is 0.
pub fn day_of_week(date: Civil) -> f64 {
    (date.days + 4).rem_euclid(7) as f64
}

/// `day_of_year`: the first of January is 1.
pub fn day_of_year(date: Civil) -> f64 {
    let before: i64 = (1..date.month).map(|month| date.month_length(month)).sum();
    (before + date.day) as f64
}

/// `days_in_month`
pub fn days_in_month(date: Civil) -> f64 {
    date.month_length(date.month) as f64
}

/// `hour`
pub fn hour(date: Civil) -> f64 {
    (date.seconds / 3600) as f64
}

/// `minute`
pub fn minute(date: Civil) -> f64 {
    (date.seconds / 60 % 60) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: [f64; 8] = [292_277_026_596.0, 12.0, 4.0, 0.0, 339.0, 31.0, 15.0, 30.0];

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0.0, [1970.0, 1.0, 1.0, 4.0, 1.0, 31.0, 0.0, 0.0]),
            (
                1_456_790_399.0,
                [2016.0, 2.0, 29.0, 1.0, 60.0, 29.0, 23.0, 59.0],
            ),
            (
                1_456_790_400.0,
                [2016.0, 3.0, 1.0, 2.0, 61.0, 31.0, 0.0, 0.0],
            ),
            (f64::NAN, LAST),
            (f64::INFINITY, LAST),
            (f64::NEG_INFINITY, LAST),
            (-1.0, [1969.0, 12.0, 31.0, 3.0, 365.0, 31.0, 23.0, 59.0]),
            (
                4_107_542_400.0,
                [2100.0, 3.0, 1.0, 1.0, 60.0, 31.0, 0.0, 0.0],
            ),
        ] {
            let date = Civil::from_seconds(seconds);
            let parts = [
                year(date),
                month(date),
                day_of_month(date),
                day_of_week(date),
                day_of_year(date),
                days_in_month(date),
                hour(date),
                minute(date),
            ];
            assert_eq!(parts, expected, "{seconds}");
        }
    }
}
