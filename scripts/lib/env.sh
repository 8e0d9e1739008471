# Sourced by the other scripts: the build folder, and the tools that scripts/setup installed for this clone.
# shellcheck shell=bash
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/groat/target}"

# shellcheck source=scripts/lib/tools.sh
source "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
if [[ -r "$env_file" ]]; then
  # shellcheck source=/dev/null
  source "$env_file"
else
  echo "groat: no tools for this clone yet; scripts/setup installs them" >&2
fi
