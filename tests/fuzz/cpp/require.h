// What every fuzz target does when a property does not hold: say which, and stop.
#ifndef NEXTBYTE_TESTS_FUZZ_CPP_REQUIRE_H_
#define NEXTBYTE_TESTS_FUZZ_CPP_REQUIRE_H_

#include <cstdio>
#include <cstdlib>

// The fuzzer keeps the input of a run that aborts.
inline void require(bool condition, const char* property) {
  if (condition) return;
  std::fprintf(stderr, "fuzz target: does not hold: %s\n", property);
  std::abort();
}

#endif  // NEXTBYTE_TESTS_FUZZ_CPP_REQUIRE_H_
