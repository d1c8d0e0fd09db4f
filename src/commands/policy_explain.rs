//! `taffrail policy explain`: which rule, which line, what input.

use std::fmt::Write as _;

use admission::check::CheckVerdict;
use admission::explain::{
    Because, Explainer, Explanation, Found, FoundValue, Outcome, Place, PolicySaid,
};
use admission::pod_security::LevelVersion;

use super::policy::{Judged, configured, read};
use crate::cli::Output;
use crate::cli::explain::PolicyExplainArgs;

/// How much of a value is printed for people.
const VALUE_CHARS_MAX: usize = 120;

/// Explains every object of every file.
pub(crate) fn explain(args: &PolicyExplainArgs) -> anyhow::Result<Judged> {
    let admission = configured(
        args.config.as_deref(),
        args.policies.as_deref(),
        args.level,
        args.version,
    )?;
    let pod_security = &admission.pod_security;
    let level = LevelVersion {
        level: pod_security.enforce,
        version: pod_security.enforce_version,
    };
    let is_asked = args.level.is_some() || args.version.is_some();
    let mut explainer = Explainer::new(&admission)?;
    if is_asked {
        explainer = explainer.at(level);
    }
    let mut all = Vec::new();
    for path in &args.files {
        let text = read(path)?;
        all.extend(explainer.explain(&path.display().to_string(), &text));
    }
    let refuses = |verdict| matches!(verdict, CheckVerdict::Fail | CheckVerdict::Error);
    Ok(Judged {
        refused: all.iter().any(|one| refuses(one.verdict)),
        text: match args.output {
            Output::Json => format!("{}\n", serde_json::to_string_pretty(&all)?),
            Output::Table => all.iter().fold(String::new(), |mut out, one| {
                object(one, &mut out);
                out
            }),
        },
    })
}

/// A line for the object; below it those who speak, then the others.
fn object(explanation: &Explanation, out: &mut String) {
    let word = match explanation.verdict {
        CheckVerdict::Pass => "pass",
        CheckVerdict::Fail => "FAIL",
        CheckVerdict::Skip => "skip",
        CheckVerdict::Error => "ERROR",
    };
    let Explanation {
        file,
        kind,
        namespace,
        name,
        operation,
        ..
    } = explanation;
    let mut what = match (kind.as_str(), namespace.as_str()) {
        ("", _) => format!("document {}", explanation.document),
        (kind, "") => format!("{kind} {name}"),
        (kind, namespace) => format!("{kind} {namespace}/{name}"),
    };
    if !operation.is_empty() {
        what = format!("{operation} {what}");
    }
    let _ = writeln!(out, "{word:<5} {file}: {what}");
    if !explanation.problem.is_empty() {
        let _ = writeln!(out, "      {}", explanation.problem);
    }
    let speaks = |said: &&PolicySaid| matches!(said.outcome, Outcome::Violated | Outcome::Failed);
    for said in explanation.policies.iter().filter(speaks) {
        policy(said, out);
    }
    for said in explanation.policies.iter().filter(|said| !speaks(said)) {
        policy(said, out);
    }
}

fn policy(said: &PolicySaid, out: &mut String) {
    let mut title = said.policy.clone();
    if !said.mode.is_empty() {
        let _ = write!(title, " {}", said.mode);
    }
    if !said.about.is_empty() {
        let _ = write!(title, ", about {}", said.about);
    }
    let word = match said.outcome {
        Outcome::Violated => "speaks against it",
        Outcome::Held => "has nothing to say",
        Outcome::NotAsked => "is not asked",
        Outcome::Failed => "could not judge",
    };
    if said.why.is_empty() {
        let _ = writeln!(out, "      {title} {word}:");
    } else {
        let _ = writeln!(out, "      {title} {word}: {}", said.why);
    }
    for one in &said.said {
        let check = match one.check.as_str() {
            "" => String::new(),
            check => format!("{check}: "),
        };
        let _ = writeln!(out, "        {check}{}", one.message);
        for because in &one.causes {
            cause(because, out);
        }
        if one.causes.is_empty() {
            let _ = writeln!(out, "          by a rule whose line cannot be told");
        }
    }
}

fn cause(because: &Because, out: &mut String) {
    let place = |place: &Place| format!("{}, {}:{}", place.rule, place.file, place.line);
    let _ = writeln!(out, "          by {}", place(&because.place));
    for through in &because.through {
        let _ = writeln!(out, "          through {}", place(through));
    }
    for (i, found) in because.input.iter().enumerate() {
        let word = if i == 0 { "because" } else { "" };
        let _ = writeln!(out, "          {word:<7} {}", told(found));
    }
}

fn told(found: &Found) -> String {
    let path = &found.path;
    match &found.value {
        FoundValue::Absent(_) => format!("{path} is absent"),
        FoundValue::Unknown(_) => path.clone(),
        FoundValue::Value(value) => {
            let text = value.to_string();
            let mut short: String = text.chars().take(VALUE_CHARS_MAX).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            format!("{path} = {short}")
        }
    }
}
