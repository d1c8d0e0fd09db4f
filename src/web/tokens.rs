//! Bearer tokens from files: a line a token, or `sha256:` and its hash in hexadecimal digits.
//!
//! Only hashes are kept. What is shown is hashed and compared with all of them, to the end of each, so that
//! how long it takes tells nothing of what would be right. Empty lines and lines that begin with `#` say nothing.

use std::path::Path;

use anyhow::bail;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// The tokens that are accepted.
#[derive(Default)]
pub(super) struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    /// Adds those of a file.
    pub(super) fn add(&mut self, path: &Path, text: &str) -> anyhow::Result<()> {
        let before = self.0.len();
        for (number, line) in (1..).zip(text.lines()) {
            let token = line.trim();
            if token.is_empty() || token.starts_with('#') {
                continue;
            }
            let place = || format!("{}:{number}", path.display());
            if let Some(digits) = token.strip_prefix("sha256:") {
                let Some(hash) = hash_of(digits) else {
                    bail!(
                        "{}: sha256: must be followed by 64 hexadecimal digits",
                        place()
                    );
                };
                self.0.push(hash);
            } else if token.bytes().all(|byte| byte.is_ascii_graphic()) {
                self.0.push(Sha256::digest(token.as_bytes()).into());
            } else {
                bail!("{}: a token is one word of ASCII", place());
            }
        }
        if self.0.len() == before {
            bail!("{}: there is no token in it", path.display());
        }
        Ok(())
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a token is one of them.
    pub(super) fn has(&self, token: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(token).into();
        let no = Choice::from(0);
        let found = (self.0.iter()).fold(no, |found, known| found | known.ct_eq(&shown));
        found.into()
    }
}

fn hash_of(digits: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        let pair = digits.get(2 * index..2 * index + 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_by_line_and_found_whole() {
        let mut tokens = Tokens::default();
        let text = "# of the agents\n  first-token \n\nsha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nlast";
        tokens.add(Path::new("t"), text).expect("valid");
        for (shown, expected) in [
            ("first-token", true),
            ("last", true),
            // What has this hash is the empty text.
            ("", true),
            ("first", false),
            ("# of the agents", false),
            ("FIRST-TOKEN", false),
        ] {
            assert_eq!(tokens.has(shown.as_bytes()), expected, "{shown:?}");
        }
        assert!(!Tokens::default().has(b""));
    }

    #[test]
    fn what_is_no_token_is_named_without_being_shown() {
        for (text, expected) in [
            ("", "t: there is no token in it"),
            ("# only this\n", "t: there is no token in it"),
            ("good\nse cret", "t:2: a token is one word"),
            ("sha256:12secret", "t:1: sha256: must be followed by 64"),
        ] {
            let error = Tokens::default().add(Path::new("t"), text);
            let error = error.expect_err(text).to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("cret"), "{error}");
        }
    }
}
