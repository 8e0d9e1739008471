//! What the documents say of the code holds: rules name tests that exist, links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Figures as `58,480 (`name`)`, or with `by N` behind the name.
#[test]
fn the_gas_that_is_documented_is_that_of_the_snapshot() {
    let snapshot = read("contracts/.gas-snapshot");
    let page = read("docs/gas.md");
    let mut checked = 0;
    for (at, _) in page.match_indices(" (`") {
        let figure = page[..at].rsplit(' ').next().expect("a word");
        let Ok(figure) = figure.replace(',', "").parse::<u64>() else {
            continue;
        };
        let (name, rest) = page[at + 3..].split_once('`').expect("a name");
        let rest = rest.split(')').next().expect("an end");
        // A figure of two of them is their sum.
        if rest.contains('`') {
            continue;
        }
        let line = format!("test_gas_{name}() (gas: ");
        let (_, gas) = snapshot.split_once(&line).expect(name);
        let gas: u64 = gas.split(')').next().expect("an end").parse().expect(name);
        let by = rest
            .rsplit_once(" by ")
            .map_or(1, |(_, by)| by.parse().expect(name));
        assert_eq!(figure, (gas + by / 2) / by, "{name}");
        checked += 1;
    }
    assert!(checked >= 7, "{checked} figures");
}

#[test]
fn every_rule_of_the_architecture_names_a_test_that_exists() {
    let text = read("ARCHITECTURE.md");
    let rules = text
        .split("## Rules that must hold")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("a section of rules");
    let tests = test_names();
    for number in 1..=13 {
        let begin = format!("\n{number}. ");
        let end = format!("\n{}. ", number + 1);
        let rule = rules
            .split(&begin)
            .nth(1)
            .unwrap_or_else(|| panic!("rule {number} is not there"));
        let rule = rule.split(&end).next().unwrap_or(rule);
        let named = rule
            .split("Tests:")
            .nth(1)
            .unwrap_or_else(|| panic!("rule {number} names no tests"));
        let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "rule {number} names no test");
        for name in named {
            assert!(
                tests.contains(name),
                "rule {number} names {name}, which is no test"
            );
        }
    }
}

#[test]
fn every_row_of_the_conformance_table_names_a_test_that_exists_or_says_why_not() {
    let text = read("docs/mpp-conformance.md");
    let tests = test_names();
    let mut rows = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let (Some(of), Some(held)) = (cells.next(), cells.next()) else {
            panic!("{line}");
        };
        let names = |text: &str| text.contains("`") || text.contains("not applicable");
        let client = held.starts_with("of a client") || held == "the same" || held == "held by";
        assert!(names(held) || client, "{of} names no test");
        rows.insert(of.to_owned());
    }
    for name in text.split('`').skip(1).step_by(2) {
        // What is no test's name is a path, a problem, a flow or a command.
        let is_test = name.matches('_').count() >= 3;
        assert!(!is_test || tests.contains(name), "{name} is no test");
    }
    // The flows and the vectors of the suite, and the tables' heads.
    assert_eq!(rows.len(), 34 + 10 + 2, "{rows:?}");
}

#[test]
fn links_between_the_documents_lead_to_files() {
    let documents = files(Path::new(ROOT), "md");
    assert!(documents.len() > 5, "only {documents:?} were found");
    for document in documents {
        let text = fs::read_to_string(&document).expect("a readable document");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let target = document.parent().expect("a folder").join(file);
            assert!(target.exists(), "{} links to {link}", document.display());
        }
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of all functions right below a `#[test]` or `#[tokio::test]`, or inside `proptest!`.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        for file in files(&Path::new(ROOT).join(folder), "rs") {
            let text = fs::read_to_string(&file).expect("a readable source");
            let mut announced = false;
            for line in text.lines().map(str::trim) {
                let attribute = line.starts_with("#[test") || line.starts_with("#[tokio::test");
                let function = line
                    .strip_prefix("async ")
                    .unwrap_or(line)
                    .strip_prefix("fn ");
                if let (true, Some(rest)) = (announced, function) {
                    names.extend(rest.split('(').next().map(str::to_owned));
                }
                announced = attribute || (announced && function.is_none());
            }
        }
    }
    names
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        // Not ours: what tools put beside the sources.
        let foreign =
            name.starts_with('.') || ["node_modules", "target", "out", "cache"].contains(&name);
        if path.is_dir() && !foreign {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}
