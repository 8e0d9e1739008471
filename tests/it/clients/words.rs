//! Error strings are the published kit's own, letter by letter: clients branch on some of them.

use crate::harness::tool;
use std::fs;
use std::path::Path;

/// Where ours are written down, each once.
const SOURCES: [&str; 5] = [
    "refusal.rs",
    "channel/refused.rs",
    "permit2/refused.rs",
    "permit2/eip2612.rs",
    "permit2/erc20_approval.rs",
];

/// Those that the specification has and the kit's own code does not say.
const OF_THE_SPECIFICATION: [&str; 3] = [
    "invalid_payload",
    "invalid_x402_version",
    "unsupported_scheme",
];

/// Those for what no kit's server does.
const OUR_OWN: [&str; 5] = [
    "unsettled_limit_reached",
    "prepaid_payment_required",
    "payment_identifier_required",
    "payment_identifier_invalid",
    "payment_identifier_conflict",
];

#[test]
fn every_error_string_is_one_that_the_published_kit_knows() {
    let packages = tool("GROAT_TS_CLIENTS", "--clients").join("@x402");
    let mut kit = String::new();
    for package in ["core", "evm", "extensions"] {
        read(&packages.join(package).join("dist/esm"), &mut kit);
    }
    let known = |word: &str| kit.contains(&format!("\"{word}\""));
    assert!(known("settlement_pending"), "the kit was not found");
    let mut ours = 0;
    for source in SOURCES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol");
        let text = fs::read_to_string(path.join(source)).expect("a source");
        let reasons = text.split("fn reason(").nth(1).expect("its reasons");
        let reasons = reasons.split("\n    }\n").next().expect("their end");
        for word in reasons.split('"').skip(1).step_by(2) {
            let exempt = OF_THE_SPECIFICATION.contains(&word) || OUR_OWN.contains(&word);
            assert!(
                known(word) != exempt,
                "{source}: {word:?} is{} one of the kit's",
                if exempt { "" } else { " not" }
            );
            ours += 1;
        }
    }
    assert!(ours > 90, "only {ours} were found");
}

fn read(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("the package").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "mjs") {
            text.push_str(&fs::read_to_string(&path).expect("a module"));
        }
    }
}
