//! `taffrail export`: samples of a store or of a server, as text.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use model::time::{TimeRange, Timestamp};
use tokio::runtime::Runtime;
use tsdb::query::{Guard, parse_series_selector};
use tsdb::transfer::export::{ExportError, ExportedSeries, export as export_store};
use tsdb::transfer::json_lines::reader::parse_line;
use tsdb::transfer::open_metrics::writer::{END, LeftOut};

use super::ask::{hint, instant, post};
use super::progress::Progress;
use super::store;
use crate::cli::moving::{ExportArgs, ExportFormat};

/// Exports.
pub(crate) fn export(args: &ExportArgs, runtime: &Runtime) -> anyhow::Result<()> {
    match run(args, runtime) {
        // A reader that has seen enough closes the pipe; that is no failure.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        ended => ended,
    }
}

fn run(args: &ExportArgs, runtime: &Runtime) -> anyhow::Result<()> {
    let range = TimeRange::new(
        millis(args.start.as_deref(), Timestamp::MIN)?,
        millis(args.end.as_deref(), Timestamp::MAX)?,
    );
    let mut sets = Vec::new();
    for selector in &args.selectors {
        let set = parse_series_selector(selector);
        sets.push(set.map_err(|error| anyhow!("--match {selector}: {error}"))?);
    }
    let mut writer = Writer {
        out: Output::create(&args.output)?,
        format: args.format,
        text: String::new(),
        left_out: LeftOut::default(),
        progress: Progress::new("export", args.quiet),
    };
    if let Some(url) = &args.place.url {
        runtime.block_on(from_server(url, args, range, &mut writer))?;
    } else {
        let otherwise = "a server that runs there exports over HTTP:";
        let store = store::open(&args.place, otherwise)?;
        let reader = store.tsdb.reader();
        let exported = export_store(&reader, &sets, range, &Guard::default(), |series| {
            writer.series(series)
        });
        exported.map_err(|error| match error {
            ExportError::Select(error) => anyhow::Error::new(error),
            ExportError::Taker(error) => error,
        })?;
    }
    writer.finish()
}

/// An instant of the command line, or one of the ends of time.
fn millis(text: Option<&str>, otherwise: Timestamp) -> anyhow::Result<Timestamp> {
    match text {
        None => Ok(otherwise),
        Some(text) => Ok(Timestamp((instant(text)? * 1000.0).round() as i64)),
    }
}

/// Reads the lines of a server's export as they come.
async fn from_server(
    url: &str,
    args: &ExportArgs,
    range: TimeRange,
    writer: &mut Writer,
) -> anyhow::Result<()> {
    let server = url.trim_end_matches('/');
    let mut form: Vec<(&str, String)> = Vec::new();
    for selector in &args.selectors {
        form.push(("match[]", selector.clone()));
    }
    for (name, at, given) in [
        ("start", range.start, &args.start),
        ("end", range.end, &args.end),
    ] {
        if given.is_some() {
            form.push((name, at.seconds().to_string()));
        }
    }
    let request = post(server, "/api/v1/export", &args.place.access).await?;
    let response = request.form(&form).send().await;
    let mut response = response.with_context(|| format!("cannot ask {server}"))?;
    if !response.status().is_success() {
        let status = response.status();
        bail!(
            "{server} answers {status}: {}{}",
            response.text().await?.trim(),
            hint(status)
        );
    }
    let mut lines: Vec<u8> = Vec::new();
    let broke_off = "the export broke off; the server's log says more";
    while let Some(chunk) = response.chunk().await.context(broke_off)? {
        lines.extend_from_slice(&chunk);
        let Some(end) = lines.iter().rposition(|byte| *byte == b'\n') else {
            continue;
        };
        let rest = lines.split_off(end + 1);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            writer.line(line)?;
        }
        lines = rest;
    }
    if !lines.is_empty() {
        bail!("{broke_off}");
    }
    Ok(())
}

/// Writes series, and counts.
struct Writer {
    out: Output,
    format: ExportFormat,
    text: String,
    left_out: LeftOut,
    progress: Progress,
}

impl Writer {
    fn series(&mut self, series: &ExportedSeries<'_>) -> anyhow::Result<()> {
        self.text.clear();
        match self.format {
            ExportFormat::Jsonl => series.write_json_lines(&mut self.text),
            ExportFormat::Openmetrics => {
                self.left_out.add(series.write_open_metrics(&mut self.text));
            }
        }
        self.progress.count(series.labels, series.samples());
        self.write()
    }

    /// A line of a server's export, which is one of ours.
    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let series = parse_line(line)
            .map_err(|what| anyhow!("the server does not answer in JSON lines: {what}"))?;
        let samples = series.samples.len() + series.histograms.len();
        self.text.clear();
        match self.format {
            ExportFormat::Jsonl => self.text.push_str(std::str::from_utf8(line)?),
            ExportFormat::Openmetrics => {
                let floats = series.samples.iter();
                let (timestamps, values): (Vec<i64>, Vec<f64>) = floats
                    .map(|sample| (sample.timestamp.millis(), sample.value))
                    .unzip();
                self.left_out
                    .add(tsdb::transfer::open_metrics::writer::write_series(
                        &mut self.text,
                        &series.labels,
                        &timestamps,
                        &values,
                        series.histograms.len(),
                    ));
            }
        }
        self.progress.count(&series.labels, samples);
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.out.write(self.text.as_bytes())?;
        self.progress.count_bytes(self.text.len() as u64);
        self.progress.tell(None);
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if self.format == ExportFormat::Openmetrics {
            self.out.write(END.as_bytes())?;
        }
        self.out.finish()?;
        self.progress.say(&self.progress.summary());
        if !self.left_out.is_nothing() {
            let LeftOut {
                histograms,
                stale_markers,
                nan_payloads,
            } = self.left_out;
            self.progress.warn(&format!(
                "OpenMetrics cannot say: {histograms} native histograms and {stale_markers} staleness markers were left out, {nan_payloads} NaNs lost their payload; --format jsonl says everything"
            ));
        }
        Ok(())
    }
}

/// Where the text goes. A file has its name only once it is whole.
struct Output {
    out: BufWriter<Box<dyn Write>>,
    /// The name while it is written, and the one it gets.
    names: Option<(PathBuf, PathBuf)>,
}

impl Output {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let (out, names): (Box<dyn Write>, _) = if path.as_os_str() == "-" {
            (Box::new(io::stdout()), None)
        } else {
            let mut partial = path.as_os_str().to_owned();
            partial.push(".partial");
            let partial = PathBuf::from(partial);
            let file = File::create(&partial);
            let file = file.with_context(|| format!("cannot write {}", partial.display()))?;
            (Box::new(file), Some((partial, path.to_owned())))
        };
        Ok(Self {
            out: BufWriter::with_capacity(256 << 10, out),
            names,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.out.write_all(bytes).context("cannot write the export")
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.out.flush().context("cannot write the export")?;
        match self.names {
            Some((partial, path)) => std::fs::rename(&partial, &path)
                .with_context(|| format!("cannot name the export {}", path.display())),
            None => Ok(()),
        }
    }
}
