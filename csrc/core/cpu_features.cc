#include "cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace segnas {

const char *isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar: return "scalar";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
    case Isa::kNeon: return "neon";
  }
  return "unknown";
}

#if defined(__x86_64__)
namespace {
struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf leaf(uint32_t number, uint32_t sub = 0) {
  Leaf l;
  __get_cpuid_count(number, sub, &l.eax, &l.ebx, &l.ecx, &l.edx);
  return l;
}

// XCR0: which register state the operating system saves on a switch.
uint64_t saved_state() {
  if (!(leaf(1).ecx & bit_OSXSAVE)) return 0;
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}
}  // namespace

bool isa_runs(Isa isa) {
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;
  if (isa == Isa::kScalar) return true;
  if (isa == Isa::kNeon) return false;
  uint64_t saved = saved_state();
  Leaf one = leaf(1), seven = leaf(7);
  bool avx2 = (saved & kYmm) == kYmm && (one.ecx & bit_AVX) && (one.ecx & bit_FMA) && (seven.ebx & bit_AVX2);
  if (isa == Isa::kAvx2) return avx2;
  constexpr uint32_t kAvx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  return avx2 && (saved & kZmm) == kZmm && (seven.ebx & kAvx512) == kAvx512;
}

bool avx512_bf16_runs() { return isa_runs(Isa::kAvx512) && (leaf(7, 1).eax & bit_AVX512BF16); }
bool avx512_vnni_runs() { return isa_runs(Isa::kAvx512) && (leaf(7).ecx & bit_AVX512VNNI); }
bool avx_vnni_runs() { return isa_runs(Isa::kAvx2) && (leaf(7, 1).eax & bit_AVXVNNI); }
bool neon_dot_runs() { return false; }
#else
#if defined(__aarch64__)
bool isa_runs(Isa isa) { return isa == Isa::kScalar || isa == Isa::kNeon; }  // the architecture has it always
#else
bool isa_runs(Isa isa) { return isa == Isa::kScalar; }
#endif
bool avx512_bf16_runs() { return false; }
bool avx512_vnni_runs() { return false; }
bool avx_vnni_runs() { return false; }
#if defined(__aarch64__) && defined(__linux__)
bool neon_dot_runs() { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
#else
bool neon_dot_runs() { return false; }
#endif
#endif

}  // namespace segnas
