//! The members and their one-way dependencies, read from the manifests:
//! root → {tsdb, logs, admission, agent} → storage → model, and siblings never know each other.

#![allow(clippy::expect_used)] // helpers outside `#[test]` functions assert too

use std::collections::BTreeSet;
use std::path::Path;

/// A member and the members it may depend on.
const LAYERS: [(&str, &[&str]); 6] = [
    ("model", &[]),
    ("storage", &["model"]),
    ("tsdb", &["model", "storage"]),
    ("logs", &["model", "storage"]),
    ("agent", &["model", "storage"]),
    ("admission", &["model", "storage"]),
];

/// The top level of the repository, besides files.
const FOLDERS: [&str; 11] = [
    "src",
    "model",
    "storage",
    "tsdb",
    "logs",
    "agent",
    "admission",
    "dashboards",
    "deploy",
    "benches",
    "tests",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names on the left of `=` in a section of dependencies.
fn dependencies(manifest: &str, section: &str) -> BTreeSet<String> {
    let header = format!("[{section}]");
    manifest
        .lines()
        .skip_while(|line| line.trim() != header)
        .skip(1)
        .take_while(|line| !line.trim_start().starts_with('['))
        .filter_map(|line| line.split(['=', '.']).next())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

#[test]
fn members_depend_downwards_only() {
    let members: BTreeSet<&str> = LAYERS.iter().map(|(member, _)| *member).collect();
    for (member, allowed) in LAYERS {
        let path = root().join(member).join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).expect("a member has a manifest");
        let found = dependencies(&manifest, "dependencies");
        assert!(
            !found.is_empty(),
            "{member}: no dependency was read; the test is broken"
        );
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for dependency in dependencies(&manifest, section) {
                assert!(
                    !members.contains(dependency.as_str())
                        || allowed.contains(&dependency.as_str()),
                    "{member} must not depend on {dependency} ({section})"
                );
                assert_ne!(
                    dependency, "taffrail",
                    "{member} must not depend on the root"
                );
            }
        }
    }
}

#[test]
fn the_workspace_names_exactly_the_members() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("root manifest");
    let line = manifest
        .lines()
        .find(|line| line.starts_with("members = "))
        .expect("a workspace has members");
    let named: BTreeSet<&str> = line.split('"').skip(1).step_by(2).collect();
    let mut expected: BTreeSet<&str> = LAYERS.iter().map(|(member, _)| *member).collect();
    expected.insert("benches");
    assert_eq!(named, expected);
}

#[test]
fn every_folder_of_the_top_level_has_its_place() {
    for entry in std::fs::read_dir(root()).expect("the root is a folder") {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("UTF-8");
        let is_output = name == "target" || name.starts_with("taffrail-data");
        if entry.file_type().expect("readable").is_dir() && !name.starts_with('.') && !is_output {
            assert!(
                FOLDERS.contains(&name.as_str()),
                "{name} has no place in the design"
            );
        }
    }
    for folder in FOLDERS {
        assert!(root().join(folder).is_dir(), "{folder} is missing");
    }
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    for (member, _) in LAYERS {
        let path = root().join(member).join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).expect("a member has a manifest");
        for (number, line) in manifest.lines().enumerate() {
            let has_version = line.contains("version = \"") || line.contains("= \"");
            let is_head = ["name = ", "path = ", "edition", "description", "harness"]
                .iter()
                .any(|head| line.starts_with(head));
            assert!(
                !has_version || is_head,
                "{member}/Cargo.toml:{}: {line}",
                number + 1
            );
        }
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{member}: lints"
        );
    }
}

/// Files of the project that are Rust or documents.
fn sources(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("readable").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') && !name.starts_with("taffrail-data") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_file_is_over_600_lines() {
    let mut files = Vec::new();
    sources(root(), &mut files);
    assert!(files.len() > 50, "only {} files were found", files.len());
    for file in files {
        let lines = std::fs::read_to_string(&file)
            .expect("UTF-8")
            .lines()
            .count();
        assert!(lines <= 600, "{}: {lines} lines", file.display());
    }
}

#[test]
fn every_member_says_what_it_owns_and_lists_its_modules() {
    for (member, _) in LAYERS {
        let path = root().join(member).join("src/lib.rs");
        let text = std::fs::read_to_string(&path).expect("a member has a lib.rs");
        assert!(
            text.starts_with("//! "),
            "{member}: lib.rs opens with what it owns"
        );
        let modules = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'));
        let mut count = 0;
        for module in modules {
            count += 1;
            assert!(
                text.contains(&format!("//! - [`{module}`]")),
                "{member}: lib.rs does not list {module}"
            );
        }
        assert!(count > 0, "{member}: no module was found");
    }
}
