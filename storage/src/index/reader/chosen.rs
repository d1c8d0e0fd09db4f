//! The series whose label names and values are asked, as tails and groups.

use model::matcher::Matcher;
use roaring::RoaringBitmap;

use super::super::groups::Group;
use super::Version2;
use super::spaces::Passing;
use crate::part::PartError;

/// Some of the series of an index.
pub(super) enum Chosen<'a> {
    All,
    /// Those that pass matchers.
    Passing(Passing),
    /// Those with these numbers.
    These(&'a RoaringBitmap),
}

impl Version2 {
    pub(super) fn chosen(&self, matchers: &[Matcher]) -> Result<Chosen<'static>, PartError> {
        if matchers.is_empty() {
            return Ok(Chosen::All);
        }
        Ok(Chosen::Passing(self.passing(matchers)?))
    }

    /// The tails of the chosen series; all where there is none.
    pub(super) fn tails_in(&self, chosen: &Chosen<'_>) -> Result<Option<RoaringBitmap>, PartError> {
        match chosen {
            Chosen::All => Ok(None),
            Chosen::Passing(passing) => self.tails_passing(passing),
            Chosen::These(series) => self.tails_of_series(series, |_| true).map(Some),
        }
    }

    /// The chosen series as groups that have one, and tails in groups without a metric name.
    pub(super) fn groups_of(&self, chosen: &Chosen<'_>) -> Result<Passing, PartError> {
        match chosen {
            Chosen::All => Ok(Passing {
                groups: None,
                tails: None,
                whole: None,
            }),
            Chosen::Passing(passing) => Ok(passing.clone()),
            Chosen::These(series) => {
                let places = self.group_places()?;
                let groups = (0..).zip(&places.groups).filter(|(_, group)| {
                    group.name.is_some() && series.range_cardinality(numbers(group)) > 0
                });
                Ok(Passing {
                    groups: Some(groups.map(|(number, _)| number).collect()),
                    tails: None,
                    whole: Some(self.tails_of_series(series, |group| group.name.is_none())?),
                })
            }
        }
    }

    fn tails_passing(&self, passing: &Passing) -> Result<Option<RoaringBitmap>, PartError> {
        let Some(groups) = &passing.groups else {
            // Every tail is in some group.
            return Ok(passing.tails.clone());
        };
        let places = self.group_places()?;
        let mut all = RoaringBitmap::new();
        let mut held = None;
        for (number, group) in places.groups.iter().enumerate() {
            let tails = match group.name {
                None => &passing.whole,
                Some(_) if groups.contains(number as u32) => &passing.tails,
                Some(_) => continue,
            };
            let set = places.set(&self.file, number, self.tails, &mut held)?;
            match tails {
                None => all |= set,
                Some(tails) => all |= set & tails,
            }
        }
        Ok(Some(all))
    }

    /// The tails that series have in groups of a kind.
    fn tails_of_series(
        &self,
        series: &RoaringBitmap,
        is_wanted: impl Fn(&Group) -> bool,
    ) -> Result<RoaringBitmap, PartError> {
        let places = self.group_places()?;
        let mut all = RoaringBitmap::new();
        let mut held = None;
        for (number, group) in places.groups.iter().enumerate() {
            let wanted = series.range_cardinality(numbers(group));
            if wanted == 0 || !is_wanted(group) {
                continue;
            }
            let set = places.set(&self.file, number, self.tails, &mut held)?;
            self.check(group, set)?;
            if wanted == u64::from(group.series) {
                all |= set;
                continue;
            }
            let mut wanted = series.range(numbers(group)).peekable();
            let mut tails = RoaringBitmap::new();
            for (tail, number) in set.iter().zip(group.first..) {
                if wanted.next_if_eq(&number).is_some() {
                    // They come in order.
                    let _ = tails.try_push(tail);
                }
            }
            all |= tails;
        }
        Ok(all)
    }
}

/// The numbers of a group's series.
const fn numbers(group: &Group) -> std::ops::Range<u32> {
    group.first..group.first + group.series
}
