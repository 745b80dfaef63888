// No contraction of a*b + c into one rounding, as in CMake's builds: cgo passes on no flag that says so, and every aarch64 has the instruction.
#pragma once
#if defined(__aarch64__) && defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__aarch64__)
#pragma GCC optimize("fp-contract=off")
#endif
