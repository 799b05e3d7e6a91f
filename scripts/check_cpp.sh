# Builds the C++ core with its checks, warnings as errors, under sanitizers, and runs them.
#
#   sh scripts/check_cpp.sh [BUILD_DIR]
#
# SANITIZE chooses the sanitizers (address,undefined); CMAKE, CTEST and NINJA the tools.
set -eu

build_dir=${1:-build/check-cpp}
cmake=${CMAKE:-cmake}
ctest=${CTEST:-ctest}
ninja=${NINJA:-ninja}
sanitize=${SANITIZE:-address,undefined}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)

echo "building the C++ checks with -fsanitize=$sanitize"
"$cmake" -S . -B "$build_dir" -G Ninja -DCMAKE_MAKE_PROGRAM="$ninja" \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSKBUILD_PROJECT_VERSION="$version" \
  -DNEXTBYTE_BUILD_PYTHON=OFF -DNEXTBYTE_BUILD_TESTS=ON -DNEXTBYTE_WERROR=ON \
  -DNEXTBYTE_SANITIZE="$sanitize" >/dev/null
"$cmake" --build "$build_dir" -- --quiet
"$ctest" --test-dir "$build_dir" --output-on-failure --no-tests=error
