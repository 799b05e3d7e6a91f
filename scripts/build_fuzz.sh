# Builds the fuzz targets, and the extension for those that read files, under sanitizers (Clang).
#
#   sh scripts/build_fuzz.sh BUILD_DIR PYTHON
#
# CMAKE, NINJA and CLANG choose the tools. The package with the sanitized extension is in
# BUILD_DIR/package; only a Python with the sanitizers' runtime preloaded can import it.
set -eu

build_dir=$1
python=$2
cmake=${CMAKE:-cmake}
ninja=${NINJA:-ninja}
clang=${CLANG:-clang++}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)

echo "building the fuzz targets"
"$cmake" -S . -B "$build_dir" -G Ninja -DCMAKE_MAKE_PROGRAM="$ninja" \
  -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DSKBUILD_PROJECT_VERSION="$version" -DSKBUILD_PROJECT_NAME=nextbyte \
  -DPython_EXECUTABLE="$python" -Dnanobind_DIR="$("$python" -m nanobind --cmake_dir)" \
  -DNEXTBYTE_BUILD_FUZZERS=ON -DNEXTBYTE_SANITIZE=fuzzer-no-link,address,undefined >/dev/null
"$cmake" --build "$build_dir" --target fuzz_pretokenizer fuzz_tokenizer _core -- ${NINJA_FLAGS:-}
mkdir -p "$build_dir/package"
cp -R python/nextbyte "$build_dir/package/"
rm -f "$build_dir"/package/nextbyte/_core*.so
cp "$build_dir"/_core*.so "$build_dir/package/nextbyte/"
