//! Reading the index of a part.
//!
//! An open index knows where things are, a few dozen bytes; all else is read, and its checksum
//! verified, when it is asked for, and kept decoded in the cache that the parts share. Questions are
//! answered over the tails and the groups ([`spaces`]), which are few, and series are made of the answer
//! at the end. Where values are asked no series are made: [`walk`] goes from tails to values.

mod chosen;
mod cursor;
mod postings;
mod series;
mod spaces;
mod walk;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::Matcher;
use roaring::RoaringBitmap;

use super::block::{handle, number};
use super::dictionary::Dictionary;
use super::groups::GroupPlaces;
use super::pattern::Pattern;
use super::tails::TailPlaces;
use super::values::Values;
use super::version_1::Version1;
use super::writer::INDEX_SECTION;
use super::{LabelIndex, SeriesRef, VisitValue};
use crate::codec::{Cursor, Malformed};
use crate::part::reader::PartFile;
use crate::part::{BlockHandle, PartError};
use crate::patience::Patience;

/// The index of a part.
#[derive(Clone, Debug)]
pub struct IndexReader {
    version: Version,
}

#[derive(Clone)]
enum Version {
    One(Version1),
    Two(Version2),
}

/// The present version.
#[derive(Clone)]
pub(super) struct Version2 {
    file: PartFile,
    series: u32,
    tails: u32,
    dictionary: BlockHandle,
    tail_places: BlockHandle,
    group_places: BlockHandle,
}

impl IndexReader {
    /// Reads what stays in memory.
    pub fn open(file: &PartFile) -> Result<Self, PartError> {
        let version = if file.has_section(INDEX_SECTION) {
            Version::Two(Version2::open(file)?)
        } else {
            Version::One(Version1::open(file)?)
        };
        Ok(Self { version })
    }

    /// The same index for somebody who may not wait for ever: reading another block, it asks.
    #[must_use]
    pub fn patient(&self, patience: &Patience) -> Self {
        let mut patient = self.clone();
        let file = match &mut patient.version {
            Version::One(index) => index.file_mut(),
            Version::Two(index) => &mut index.file,
        };
        *file = file.patient(patience);
        patient
    }

    /// The labels of the given series, in the order of their numbers.
    pub fn labels_of(
        &self,
        series: &RoaringBitmap,
        mut visit: impl FnMut(SeriesRef, Labels),
    ) -> Result<(), PartError> {
        self.labels_until(series, |number, labels| {
            visit(number, labels);
            ControlFlow::Continue(())
        })
    }

    /// The same until `visit` has seen enough; what lies behind is not read.
    pub fn labels_until(
        &self,
        series: &RoaringBitmap,
        mut visit: impl FnMut(SeriesRef, Labels) -> ControlFlow<()>,
    ) -> Result<(), PartError> {
        match &self.version {
            Version::One(index) => index.labels_of(series, &mut visit),
            Version::Two(index) => index.labels_of(series, &mut visit),
        }
    }

    /// The labels of every series, in the order of their numbers.
    pub fn all_labels(&self) -> Result<Vec<Labels>, PartError> {
        let mut every = RoaringBitmap::new();
        every.insert_range(0..self.len());
        let mut all = Vec::new();
        self.labels_of(&every, |_, labels| all.push(labels))?;
        Ok(all)
    }

    fn index(&self) -> &dyn LabelIndex {
        match &self.version {
            Version::One(index) => index,
            Version::Two(index) => index,
        }
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, file) = match self {
            Self::One(index) => (1, index.file()),
            Self::Two(index) => (2, &index.file),
        };
        f.debug_tuple("Version").field(&number).field(file).finish()
    }
}

impl LabelIndex for IndexReader {
    fn len(&self) -> u32 {
        self.index().len()
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError> {
        self.index().postings(name, value)
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        self.index().each_value(name, prefix, visit)
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        self.index().label_names()
    }

    fn presence(&self, name: &str) -> Result<RoaringBitmap, PartError> {
        self.index().presence(name)
    }

    fn each_match(
        &self,
        name: &str,
        pattern: &Pattern<'_>,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        self.index().each_match(name, pattern, visit)
    }

    fn select(&self, matchers: &[Matcher]) -> Result<RoaringBitmap, PartError> {
        self.index().select(matchers)
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &[Matcher],
    ) -> Result<Box<dyn Values + 'a>, PartError> {
        self.index().label_values(name, matchers)
    }

    fn label_names_of(&self, matchers: &[Matcher]) -> Result<Vec<String>, PartError> {
        self.index().label_names_of(matchers)
    }

    fn label_values_among<'a>(
        &'a self,
        name: &'a str,
        series: &RoaringBitmap,
    ) -> Result<Box<dyn Values + 'a>, PartError> {
        self.index().label_values_among(name, series)
    }

    fn label_names_among(&self, series: &RoaringBitmap) -> Result<Vec<String>, PartError> {
        self.index().label_names_among(series)
    }
}

impl Version2 {
    fn open(file: &PartFile) -> Result<Self, PartError> {
        let section = file.section(INDEX_SECTION)?;
        let read = |cursor: &mut Cursor<'_>| -> Result<Self, Malformed> {
            Ok(Self {
                file: file.clone(),
                series: number(cursor)?,
                tails: number(cursor)?,
                dictionary: handle(cursor)?,
                tail_places: handle(cursor)?,
                group_places: handle(cursor)?,
            })
        };
        read(&mut Cursor::new(&section))
            .map_err(|malformed| file.malformed(INDEX_SECTION, malformed))
    }

    fn dictionary(&self) -> Result<Arc<Dictionary>, PartError> {
        Dictionary::read(&self.file, self.dictionary)
    }

    fn tail_places(&self) -> Result<Arc<TailPlaces>, PartError> {
        let places = TailPlaces::read(&self.file, self.tail_places)?;
        if self.tails as usize <= places.len().saturating_mul(TailPlaces::TAILS_PER_BLOCK) {
            return Ok(places);
        }
        Err(self.corrupt("there are more tails than blocks for them"))
    }

    fn group_places(&self) -> Result<Arc<GroupPlaces>, PartError> {
        let places = GroupPlaces::read(&self.file, self.group_places)?;
        if places.series() == self.series {
            return Ok(places);
        }
        Err(self.corrupt("its groups do not have as many series as it says"))
    }

    fn corrupt(&self, reason: &str) -> PartError {
        self.file.corrupt_section(INDEX_SECTION, reason)
    }
}
