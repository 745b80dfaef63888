#include "kernels.h"

namespace segnas {

namespace scalar {
extern const Kernels table;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}
namespace avx512bf16 {
extern const Bf16Kernels table;
}
#endif

const Kernels *kernels_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar: return &scalar::table;
#if defined(__x86_64__)
    case Isa::kAvx2: return &avx2::table;
    case Isa::kAvx512: return &avx512::table;
#else
    default: break;
#endif
  }
  return nullptr;
}

const Bf16Kernels *bf16_kernels_of(const Kernels &kernels) {
#if defined(__x86_64__)
  if (kernels.isa == Isa::kAvx512 && avx512_bf16_runs()) return &avx512bf16::table;
#endif
  return kernels.bf16;
}

}  // namespace segnas
