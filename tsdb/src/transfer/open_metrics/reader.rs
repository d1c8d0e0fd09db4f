//! The text to pieces, some thousand samples each.

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;

use model::sample::{Exemplar, Metadata, Sample, SeriesSamples};
use model::wire::exposition::{self, Format, Item, Parser, Reason};

use crate::transfer::lines::Lines;
use crate::transfer::{InputError, Piece, Position, Source};

/// Samples of a piece.
const PIECE_SAMPLES: usize = 10_000;

/// Reads OpenMetrics or Prometheus' text.
#[derive(Debug)]
pub struct OpenMetrics<R> {
    lines: Lines<R>,
    format: Format,
    /// What is wrong behind the piece that was returned last.
    pending: Option<InputError>,
    end: End,
}

/// How the text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It goes on, as far as is known.
    Open,
    /// `# EOF` was read.
    Marked,
    /// There is no more, and whatever is to be said of that was said.
    Reached,
}

impl<R: BufRead> OpenMetrics<R> {
    /// A reader behind what an earlier run has read.
    pub fn new(input: R, format: Format, start: Position) -> Result<Self, InputError> {
        let mut lines = Lines::new(input);
        lines.skip_to(start)?;
        Ok(Self {
            lines,
            format,
            pending: None,
            end: End::Open,
        })
    }

    /// Reads one line into what was gathered; false at the end.
    fn read_line(&mut self, gathered: &mut Gathered) -> Result<bool, InputError> {
        if self.end == End::Reached {
            return Ok(false);
        }
        let number = self.lines.position().items + 1;
        let Some(line) = self.lines.take_line()? else {
            let was_cut = self.end == End::Open && self.format == Format::OpenMetrics;
            self.end = End::Reached;
            if was_cut {
                let what = "the text ends without \"# EOF\": it may have been cut short";
                return Err(InputError::line(number, what));
            }
            return Ok(false);
        };
        let line = std::str::from_utf8(line).map_err(|error| InputError::line(number, error))?;
        if self.end == End::Marked {
            return Err(InputError::line(number, Reason::AfterEof));
        }
        let mut parser = Parser::new(line, self.format);
        match parser.next() {
            Ok(Some(item)) => gathered
                .add(item)
                .map_err(|what| InputError::line(number, what))?,
            Ok(None) if self.format == Format::OpenMetrics => self.end = End::Marked,
            Ok(None) => {}
            Err(error) if error.reason == Reason::EofMissing => {}
            Err(error) => return Err(InputError::line(number, error.reason)),
        }
        Ok(true)
    }
}

impl<R: BufRead> Source for OpenMetrics<R> {
    fn next(&mut self) -> Result<Option<Piece>, InputError> {
        if let Some(pending) = self.pending.take() {
            return Err(pending);
        }
        let mut gathered = Gathered::default();
        let mut position = self.lines.position();
        while gathered.samples < PIECE_SAMPLES {
            match self.read_line(&mut gathered) {
                Ok(true) => position = self.lines.position(),
                Ok(false) => break,
                Err(error) if gathered.is_empty() => return Err(error),
                Err(error) => {
                    // What came before it is handed on first.
                    self.pending = Some(error);
                    break;
                }
            }
        }
        Ok((!gathered.is_empty()).then(|| gathered.into_piece(position)))
    }
}

/// Samples by series, and what was said of families.
#[derive(Default)]
struct Gathered {
    series: Vec<SeriesSamples>,
    by_text: HashMap<String, usize>,
    metadata: BTreeMap<String, Metadata>,
    samples: usize,
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.series.is_empty() && self.metadata.is_empty()
    }

    fn add(&mut self, item: Item<'_, '_>) -> Result<(), String> {
        match item {
            Item::Help { family, text } => self.family(&family).help = text.into_owned(),
            Item::Type {
                family,
                metric_type,
            } => self.family(&family).metric_type = metric_type,
            Item::Unit { family, unit } => unit.clone_into(&mut self.family(&family).unit),
            Item::Sample(sample) => self.sample(&sample)?,
        }
        Ok(())
    }

    fn family(&mut self, family: &str) -> &mut Metadata {
        self.metadata
            .entry(family.to_owned())
            .or_insert_with(|| Metadata {
                family: family.to_owned(),
                ..Metadata::default()
            })
    }

    fn sample(&mut self, sample: &exposition::Sample<'_, '_>) -> Result<(), String> {
        let timestamp = sample.timestamp.ok_or_else(|| {
            format!(
                "{} has no timestamp: nothing says when it was; to store a scrape as of now, scrape it",
                sample.series
            )
        })?;
        let duplicate = |name| format!("label {name:?} is there twice");
        let exemplar = match &sample.exemplar {
            Some(exemplar) => Some(Exemplar {
                labels: exemplar.to_labels().map_err(duplicate)?,
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            }),
            None => None,
        };
        let index = if let Some(index) = self.by_text.get(sample.series) {
            *index
        } else {
            self.series.push(SeriesSamples {
                labels: sample.to_labels().map_err(duplicate)?,
                ..SeriesSamples::default()
            });
            let index = self.series.len() - 1;
            self.by_text.insert(sample.series.to_owned(), index);
            index
        };
        if let Some(series) = self.series.get_mut(index) {
            series.samples.push(Sample {
                timestamp,
                value: sample.value,
            });
            series.exemplars.extend(exemplar);
            self.samples += 1;
        }
        Ok(())
    }

    fn into_piece(self, position: Position) -> Piece {
        Piece {
            series: self.series,
            metadata: self.metadata.into_values().collect(),
            position,
        }
    }
}
