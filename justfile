# Short names for what the scripts do; each recipe is also a command you can run by hand.
set shell := ["bash", "-euo", "pipefail", "-c"]

env := "source scripts/lib/env.sh &&"

# list the recipes
default:
    @just --list --unsorted

# install the toolchain's companions: chain tools, clients, model, linters
setup *flags="--clients --lint":
    scripts/setup {{ flags }}

# compile the gateway
build:
    {{ env }} cargo build --locked

# set up and run every check and test; arguments go to cargo test instead
test *arguments:
    scripts/test {{ arguments }}

# check format, lints and dependencies
lint: deny
    {{ env }} cargo fmt --check
    {{ env }} cargo clippy --locked --all-targets --features failpoints,tempo -- -D warnings

# format the sources
fmt:
    cargo fmt
    scripts/contracts fmt

# check licences, sources and bans of the dependency tree
deny:
    {{ env }} "${GROAT_CARGO_DENY:?scripts/setup --lint installs it}" check bans licenses sources

# build and test the contracts
contracts:
    scripts/contracts check
    scripts/contracts test

# a paid call from start to end on this machine; --real-model for llama.cpp
demo *flags:
    scripts/demo {{ flags }}

# everything that CI runs
ci:
    .ci/run
