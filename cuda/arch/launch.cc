#include "launch.h"

#include "../plugin/op.h"

namespace segnas::gpu {

segnas_status check_grid(const char *name, const Grid &g, segnas_error *err) {
  constexpr int64_t kMostX = (int64_t{1} << 31) - 1, kMostYZ = 65535;
  constexpr int kMostThreads = 1024;
  if (g.x < 1 || g.x > kMostX || g.y < 1 || g.y > kMostYZ || g.z < 1 || g.z > kMostYZ || g.threads < 1 || g.threads > kMostThreads)
    return fail(err, SEGNAS_INTERNAL, "%s: a grid of %lld x %lld x %lld blocks of %d threads cannot be launched", name, static_cast<long long>(g.x),
                static_cast<long long>(g.y), static_cast<long long>(g.z), g.threads);
  return SEGNAS_OK;
}

}  // namespace segnas::gpu
