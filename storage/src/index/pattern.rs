//! A regular expression as an index asks it.
//!
//! What Grafana's variables send is a list of texts, so an expression that matches only so many texts
//! is looked up, not searched for. Any other walks the values in their order as a lazy automaton: a
//! value costs its bytes behind those it shares with the one before, and where the automaton is dead all
//! values that begin the same are passed over. A literal prefix bounds the walk. `.+` is whoever has
//! the label.
//!
//! The answer is [`Matcher::matches_positive`]'s, always: texts that are looked up are shown to it,
//! and an automaton that cannot be built, or gives up, leaves the value to it.

use model::matcher::{Matcher, REGEX_BYTES_MAX, anchored_text};
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::literal::{Extractor, Seq};

/// Memory of the automaton's states; when it is full they are made anew.
const STATES_BYTES_MAX: usize = 2 << 20;
/// More texts than this are searched for, not looked up.
const LITERALS_MAX: usize = 4096;
/// A text longer than this ends as a prefix.
const LITERAL_BYTES_MAX: usize = 4096;

/// A regular expression, taken apart.
#[derive(Debug)]
pub struct Pattern<'a> {
    matcher: &'a Matcher,
    kind: Kind,
}

/// How the values that match are found.
#[derive(Debug)]
pub(super) enum Kind {
    /// No others match than these, which themselves do.
    Literals(Vec<String>),
    /// Every value matches.
    Any,
    /// Those that match begin with this text.
    Prefixed(String),
}

impl<'a> Pattern<'a> {
    /// Takes the matcher's expression apart; an equality is an expression of one text.
    pub fn new(matcher: &'a Matcher) -> Self {
        let kind = if matcher.regex().is_none() {
            Kind::Literals(vec![matcher.value().to_owned()])
        } else {
            kind(matcher)
        };
        Self { matcher, kind }
    }

    pub(super) const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The text that every match begins with.
    pub(super) fn prefix(&self) -> &str {
        match &self.kind {
            Kind::Prefixed(prefix) => prefix,
            _ => "",
        }
    }

    /// Whether a value matches, before any negation.
    pub fn matches(&self, value: &str) -> bool {
        self.matcher.matches_positive(value)
    }

    /// What walks values in their order.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk {
            pattern: self,
            asked: 0,
            automaton: None,
        }
    }
}

fn kind(matcher: &Matcher) -> Kind {
    if matches!(matcher.value(), ".*" | ".+") {
        return Kind::Any;
    }
    let parsed = anchored_text(matcher.value())
        .ok()
        .and_then(|text| regex_syntax::parse(&text).ok());
    let Some(parsed) = parsed else {
        return Kind::Prefixed(String::new());
    };
    // An assertion counts as the empty text here: the texts are all that can match, and more.
    let texts: Seq = Extractor::new()
        .limit_total(LITERALS_MAX)
        .limit_literal_len(LITERAL_BYTES_MAX)
        .extract(&parsed);
    if texts.is_exact()
        && let Some(literals) = texts.literals()
    {
        let texts = literals
            .iter()
            .filter_map(|literal| std::str::from_utf8(literal.as_bytes()).ok());
        let mut texts: Vec<String> = texts
            .filter(|text| matcher.matches_positive(text))
            .map(str::to_owned)
            .collect();
        texts.sort_unstable();
        texts.dedup();
        return Kind::Literals(texts);
    }
    let prefix = texts.longest_common_prefix().unwrap_or_default();
    let whole = match std::str::from_utf8(prefix) {
        Ok(text) => text.len(),
        // A character was cut in two.
        Err(error) => error.valid_up_to(),
    };
    let prefix = std::str::from_utf8(prefix.get(..whole).unwrap_or_default());
    Kind::Prefixed(prefix.unwrap_or_default().to_owned())
}

/// Asks value after value.
pub(super) struct Walk<'a> {
    pattern: &'a Pattern<'a>,
    asked: usize,
    automaton: Option<Automaton>,
}

/// Values that are asked of the pattern itself: making an automaton takes as long as asking some hundred, and
/// most labels of most parts have few values.
const ASKED_WITHOUT: usize = if cfg!(test) { 3 } else { 64 };

impl Walk<'_> {
    /// Whether `value` matches, which begins with the same `shared` bytes as the one asked before.
    pub(super) fn matches(&mut self, value: &str, shared: usize) -> bool {
        self.asked += 1;
        if self.asked == ASKED_WITHOUT {
            self.automaton = Automaton::new(self.pattern.matcher.value());
        }
        let verdict = self
            .automaton
            .as_mut()
            .and_then(|automaton| automaton.matches(value.as_bytes(), shared));
        verdict.unwrap_or_else(|| self.pattern.matches(value))
    }
}

/// An expression as states of a lazy automaton, and those of the value asked last.
struct Automaton {
    dfa: DFA,
    cache: Cache,
    /// The state before the value's first byte, behind it, behind its second, up to the one from
    /// which no match can be reached any more.
    states: Vec<LazyStateID>,
}

impl Automaton {
    fn new(pattern: &str) -> Option<Self> {
        let config = DFA::config()
            .cache_capacity(STATES_BYTES_MAX)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(None);
        let nfa = thompson::Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(REGEX_BYTES_MAX));
        let dfa = DFA::builder()
            .configure(config)
            .thompson(nfa)
            .build(&anchored_text(pattern).ok()?)
            .ok()?;
        let cache = dfa.create_cache();
        Some(Self {
            dfa,
            cache,
            states: Vec::new(),
        })
    }

    /// Whether `value` matches; `None` where the automaton cannot say.
    fn matches(&mut self, value: &[u8], shared: usize) -> Option<bool> {
        self.states.truncate(shared + 1);
        let clears = self.cache.clear_count();
        if self.states.is_empty() {
            let input = Input::new("").anchored(Anchored::Yes);
            let start = self.dfa.start_state_forward(&mut self.cache, &input);
            self.states.push(start.ok()?);
        }
        let mut state = *self.states.last()?;
        let known = self.states.len() - 1;
        for byte in value.get(known..).unwrap_or_default() {
            if state.is_dead() {
                break;
            }
            let next = self.dfa.next_state(&mut self.cache, state, *byte);
            state = next.ok().filter(|state| !state.is_quit()).or_else(|| {
                self.states.clear();
                None
            })?;
            self.states.push(state);
        }
        let matches = !state.is_dead() && {
            let end = self.dfa.next_eoi_state(&mut self.cache, state).ok()?;
            end.is_match()
        };
        if self.cache.clear_count() != clears {
            // The states were made anew under other numbers.
            self.states.clear();
        }
        Some(matches)
    }
}

#[cfg(test)]
mod tests {
    use model::matcher::MatchOp;

    use super::*;

    fn matcher(pattern: &str) -> Matcher {
        Matcher::new(MatchOp::Regex, "a", pattern).expect(pattern)
    }

    #[test]
    fn expressions_of_some_texts_are_looked_up() {
        for (pattern, texts) in [
            ("a", &["a"][..]),
            ("a|b|cd", &["a", "b", "cd"]),
            ("(a|b)-x", &["a-x", "b-x"]),
            ("^(?:web|db)-[01]$", &["db-0", "db-1", "web-0", "web-1"]),
            (r"10\.0\.0\.1:9100", &["10.0.0.1:9100"]),
            ("(?i)up", &["UP", "Up", "uP", "up"]),
            ("a^b", &[]),
            ("", &[""]),
            ("x?", &["", "x"]),
        ] {
            let matcher = matcher(pattern);
            match Pattern::new(&matcher).kind {
                Kind::Literals(found) => assert_eq!(found, texts, "{pattern}"),
                kind => panic!("{pattern} is {kind:?}"),
            }
        }
    }

    #[test]
    fn other_expressions_have_the_prefix_they_have() {
        for (pattern, prefix) in [
            ("web-.*", "web-"),
            ("web-[0-9]+", "web-"),
            ("ab*c", "a"),
            ("(foo|fob).*", "fo"),
            (".*x", ""),
            ("(?i)web.*", ""),
            ("ä+", "ä"),
            ("[äö].*", ""),
        ] {
            let matcher = matcher(pattern);
            let pattern_of = Pattern::new(&matcher);
            assert!(matches!(pattern_of.kind, Kind::Prefixed(_)), "{pattern}");
            assert_eq!(pattern_of.prefix(), prefix, "{pattern}");
        }
        assert!(matches!(Pattern::new(&matcher(".+")).kind, Kind::Any));
    }
}
