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
namespace avx512vnni {
extern const Int8Kernels table;
}
namespace avxvnni {
extern const Int8Kernels table;
}
#endif
#if defined(__aarch64__)
namespace neon {
extern const Kernels table;
}
namespace neondot {
extern const Int8Kernels table;
}
#endif

const Kernels *kernels_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar: return &scalar::table;
#if defined(__x86_64__)
    case Isa::kAvx2: return &avx2::table;
    case Isa::kAvx512: return &avx512::table;
#endif
#if defined(__aarch64__)
    case Isa::kNeon: return &neon::table;
#endif
    default: break;
  }
  return nullptr;
}

const Bf16Kernels *bf16_kernels_of(const Kernels &kernels) {
#if defined(__x86_64__)
  if (kernels.isa == Isa::kAvx512 && avx512_bf16_runs()) return &avx512bf16::table;
#endif
  return kernels.bf16;
}

const Int8Kernels *int8_kernels_of(const Kernels &kernels) {
#if defined(__x86_64__)
  if (kernels.isa == Isa::kAvx512 && avx512_vnni_runs()) return &avx512vnni::table;
  if (kernels.isa != Isa::kScalar) return avx_vnni_runs() ? &avxvnni::table : avx2::table.int8;
#endif
#if defined(__aarch64__)
  if (kernels.isa == Isa::kNeon) return neon_dot_runs() ? &neondot::table : scalar::table.int8;
#endif
  return kernels.int8;
}

}  // namespace segnas
