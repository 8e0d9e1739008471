//! The layers of the design: imports point down only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Highest first; a layer may use those behind it.
const LAYERS: [&str; 16] = [
    "cli", "buying", "wallet", "gateway", "call", "payment", "router", "chain", "config", "ledger",
    "stats", "protocol", "pricing", "metering", "money", "json",
];

/// What every layer may use: the wall clock in one place, and the places where a test may kill the process.
const FOR_ALL: [&str; 2] = ["clock", "failpoint"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The modules of the crate that a source names, by `crate::name` or `crate::{name, …}`.
fn named(source: &str) -> Vec<String> {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(|line| [line, "\n"]).collect();
    let mut names = Vec::new();
    for (_, behind) in code
        .match_indices("crate::")
        .map(|(at, found)| code.split_at(at + found.len()))
    {
        match behind.strip_prefix('{') {
            Some(group) => names.extend(top_level(group)),
            None => names.push(word(behind)),
        }
    }
    names
}

/// The first words of a group's members: `a::{b, c}, d}` gives a and d.
fn top_level(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut names) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if c.is_whitespace() => {}
            _ if start => {
                names.push(word(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

/// The module a source file belongs to.
fn module(src: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(src).expect("a source");
    let first = relative
        .components()
        .next()
        .expect("a name")
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn imports() -> BTreeMap<PathBuf, (String, Vec<String>)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let of = |file: PathBuf| {
        let source = std::fs::read_to_string(&file).expect("a source");
        (file.clone(), (module(&src, &file), named(&source)))
    };
    sources(&src).into_iter().map(of).collect()
}

#[test]
fn imports_point_down_only() {
    let rank = |module: &str| LAYERS.iter().position(|layer| *layer == module);
    let mut checked = 0;
    for (file, (module, names)) in imports() {
        let Some(own) = rank(&module) else { continue };
        for name in names {
            if FOR_ALL.contains(&name.as_str()) || (module == "cli" && name == "sim") {
                continue;
            }
            // Macros and functions at the crate's root would be layers of their own.
            let other = rank(&name).unwrap_or_else(|| {
                panic!("{} names crate::{name}, which is no layer", file.display())
            });
            assert!(
                other >= own,
                "{} is of {module} and names {name} above it",
                file.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 100, "the sources were found: {checked}");
}

#[test]
fn the_wallet_knows_the_wire_and_the_chain_and_nothing_of_the_gateway() {
    let known = [
        "wallet", "chain", "config", "protocol", "metering", "money", "json",
    ];
    for (file, (module, names)) in imports() {
        let tests = file.ends_with("tests.rs");
        for name in names.iter().filter(|_| module == "wallet" && !tests) {
            assert!(
                known.contains(&name.as_str()) || FOR_ALL.contains(&name.as_str()),
                "{} names {name}",
                file.display()
            );
        }
    }
}

#[test]
fn every_module_has_its_layer() {
    for (file, (module, _)) in imports() {
        let known = LAYERS.contains(&module.as_str()) || FOR_ALL.contains(&module.as_str());
        assert!(
            known || ["sim", "lib", "main"].contains(&module.as_str()),
            "{} has no layer",
            file.display()
        );
    }
}

#[test]
fn the_simulator_stands_alone_and_the_binary_has_only_the_command_line() {
    for (file, (module, names)) in imports() {
        match module.as_str() {
            "sim" => assert!(
                names.iter().all(|name| name == "sim"),
                "{} names {names:?}",
                file.display()
            ),
            "clock" | "failpoint" => assert_eq!(names, [""; 0], "{}", file.display()),
            _ => {}
        }
    }
    let main = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/main.rs"))
        .expect("the binary");
    for (_, behind) in main
        .match_indices("groat::")
        .map(|(at, found)| main.split_at(at + found.len()))
    {
        assert_eq!(word(behind), "cli");
    }
}

#[test]
fn the_pure_layers_have_no_clock_no_sockets_and_no_runtime() {
    for (file, (module, names)) in imports() {
        if !["protocol", "pricing", "metering", "money", "json"].contains(&module.as_str()) {
            continue;
        }
        assert!(
            !names.iter().any(|name| FOR_ALL.contains(&name.as_str())),
            "{} names {names:?}",
            file.display()
        );
        let source = std::fs::read_to_string(&file).expect("a source");
        for word in [
            "tokio::",
            "std::net",
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "reqwest::",
            "std::fs",
            "rand::",
        ] {
            let tests = file
                .components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
            assert!(
                tests || !source.contains(word),
                "{} uses {word}",
                file.display()
            );
        }
    }
}
