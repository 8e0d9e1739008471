# Where each tool lives. A folder's name carries the hash of what it was made from, so that clones share one copy
# of what they agree on and never overwrite each other's. Sourced by scripts/setup and scripts/lib/env.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the paths are for whoever sources this

groat_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
groat_tools="${GROAT_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/groat/tools}"
[[ "$groat_tools" == /* ]] || groat_tools="$PWD/$groat_tools"
cargo_deny_version=0.20.2

# lock_hash FILE…: sixteen hex digits over the files' bytes.
lock_hash() { cat -- "$@" | sha256sum | cut -c1-16; }

_clients="$groat_root/tests/clients"
ts_dir="$groat_tools/ts-clients-$(lock_hash "$_clients/ts/package-lock.json")"
mpp_dir="$groat_tools/mpp-client-$(lock_hash "$_clients/mpp/package-lock.json")"
python_dir="$groat_tools/python-clients-$(lock_hash "$_clients/python/requirements.txt")"
rust_dir="$groat_tools/rust-client-$(lock_hash "$_clients/rust/Cargo.lock" "$_clients/rust/Cargo.toml" "$_clients/rust/src/main.rs")"
mpp_rs_dir="$groat_tools/mpp-rs-client-$(lock_hash "$_clients"/mpp-rs/Cargo.lock "$_clients"/mpp-rs/Cargo.toml "$_clients"/mpp-rs/src/*.rs)"
python_tempo_dir="$groat_tools/python-tempo-clients-$(lock_hash "$_clients/python-tempo/requirements.txt")"
model_dir="$groat_tools/model-$(lock_hash "$groat_root/scripts/lib/model.txt" "$groat_root/scripts/lib/model-build.txt" "$groat_root/scripts/lib/model.sh")"
deny_dir="$groat_tools/cargo-deny-$cargo_deny_version"
_peers="$groat_root/benches/peers"
peers_ts_dir="$groat_tools/peers-ts-$(lock_hash "$_peers/ts/package-lock.json")"
litellm_dir="$groat_tools/litellm-$(lock_hash "$_peers/litellm/requirements.txt")"
x402_axum_dir="$groat_tools/x402-axum-$(lock_hash "$_peers/x402-axum/Cargo.lock" "$_peers/x402-axum/Cargo.toml" "$_peers"/x402-axum/src/*.rs)"
env_file="$groat_tools/env-$(printf '%s\n' "$ts_dir" "$mpp_dir" "$python_dir" "$rust_dir" "$mpp_rs_dir" "$python_tempo_dir" "$model_dir" "$deny_dir" |
  cat - "$groat_root/contracts/package-lock.json" | lock_hash -)"

# A folder without this mark was interrupted while it was made.
is_complete() { [[ -e "$1/.complete" ]]; }
