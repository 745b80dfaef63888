// A kernel source is compiled once per instruction set, between SEGNAS_TARGET_x and SEGNAS_TARGET_END, inside a namespace of that set.
// The pragmas carry the flags because cgo has none per file. FMA contraction is off: a*b+c in source is two roundings on every set, and
// an FMA is written as one; otherwise builds and sets would differ in the bits of optimiser and interpolation.
// Inside a region: no standard headers and no foreign inline functions, so that no weak symbol is compiled under the region's flags.
#pragma once

#if defined(__OPTIMIZE__) && !defined(SEGNAS_SANITIZED) && !defined(__clang__)
#define SEGNAS_TARGET_OPTIMIZE _Pragma("GCC optimize(\"O3\")") _Pragma("GCC optimize(\"fp-contract=off\")")
#elif !defined(__OPTIMIZE__) && !defined(__clang__)
// Nothing here throws; unoptimised, GCC would still make tables for it, and with them a weak symbol.
#define SEGNAS_TARGET_OPTIMIZE _Pragma("GCC optimize(\"fp-contract=off\")") _Pragma("GCC optimize(\"no-exceptions\")")
#else
#define SEGNAS_TARGET_OPTIMIZE _Pragma("GCC optimize(\"fp-contract=off\")")
#endif

#if defined(__clang__)
#define SEGNAS_TARGET_BASE _Pragma("STDC FP_CONTRACT OFF")
#define SEGNAS_TARGET_AVX2 \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)") _Pragma("STDC FP_CONTRACT OFF")
#define SEGNAS_TARGET_AVX512                                                                                                \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl\"))), apply_to = function)") \
      _Pragma("STDC FP_CONTRACT OFF")
#define SEGNAS_TARGET_AVX512BF16                                                                                                                \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16\"))), apply_to = function)") \
      _Pragma("STDC FP_CONTRACT OFF")
#define SEGNAS_TARGET_AVX512VNNI                                                                                                                \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni\"))), apply_to = function)") \
      _Pragma("STDC FP_CONTRACT OFF")
#define SEGNAS_TARGET_AVXVNNI \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,fma,avxvnni\"))), apply_to = function)") _Pragma("STDC FP_CONTRACT OFF")
#define SEGNAS_TARGET_NEONDOT \
  _Pragma("clang attribute push(__attribute__((target(\"dotprod\"))), apply_to = function)") _Pragma("STDC FP_CONTRACT OFF")
#define SEGNAS_TARGET_END _Pragma("clang attribute pop")
#define SEGNAS_TARGET_BASE_END
#else
#define SEGNAS_TARGET_BASE _Pragma("GCC push_options") SEGNAS_TARGET_OPTIMIZE
#define SEGNAS_TARGET_AVX2 _Pragma("GCC push_options") SEGNAS_TARGET_OPTIMIZE _Pragma("GCC target(\"avx2,fma\")")
#define SEGNAS_TARGET_AVX512 \
  _Pragma("GCC push_options") SEGNAS_TARGET_OPTIMIZE _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512\")")
#define SEGNAS_TARGET_AVX512BF16                       \
  _Pragma("GCC push_options") SEGNAS_TARGET_OPTIMIZE \
      _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,prefer-vector-width=512\")")
#define SEGNAS_TARGET_AVX512VNNI                       \
  _Pragma("GCC push_options") SEGNAS_TARGET_OPTIMIZE \
      _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512\")")
#define SEGNAS_TARGET_AVXVNNI _Pragma("GCC push_options") SEGNAS_TARGET_OPTIMIZE _Pragma("GCC target(\"avx2,fma,avxvnni\")")
#define SEGNAS_TARGET_NEONDOT _Pragma("GCC push_options") SEGNAS_TARGET_OPTIMIZE _Pragma("GCC target(\"arch=armv8.2-a+dotprod\")")
#define SEGNAS_TARGET_END _Pragma("GCC pop_options")
#define SEGNAS_TARGET_BASE_END _Pragma("GCC pop_options")
#endif
