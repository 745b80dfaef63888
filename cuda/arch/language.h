// The kernel language (arch.h) on CUDA.
#pragma once
#include <cuda_runtime.h>

#define SEGNAS_KERNEL(...) __global__ void __launch_bounds__(__VA_ARGS__)
#define SEGNAS_DEVICE __device__ __forceinline__
#define SEGNAS_BOTH __host__ __device__ __forceinline__

namespace segnas::gpu {

SEGNAS_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
SEGNAS_DEVICE int threads() { return static_cast<int>(blockDim.x); }
SEGNAS_DEVICE int block_x() { return static_cast<int>(blockIdx.x); }
SEGNAS_DEVICE int block_y() { return static_cast<int>(blockIdx.y); }
SEGNAS_DEVICE int block_z() { return static_cast<int>(blockIdx.z); }
SEGNAS_DEVICE int blocks_x() { return static_cast<int>(gridDim.x); }
SEGNAS_DEVICE int blocks_y() { return static_cast<int>(gridDim.y); }
SEGNAS_DEVICE int blocks_z() { return static_cast<int>(gridDim.z); }

SEGNAS_DEVICE void barrier() { __syncthreads(); }
SEGNAS_DEVICE void warp_barrier() { __syncwarp(); }
constexpr unsigned kAllLanes = 0xffffffffu;
template <class Number>
SEGNAS_DEVICE Number shuffle(Number v, int from_lane) {
  return __shfl_sync(kAllLanes, v, from_lane);
}
template <class Number>
SEGNAS_DEVICE Number shuffle_xor(Number v, int mask) {
  return __shfl_xor_sync(kAllLanes, v, mask);
}
template <class Number>
SEGNAS_DEVICE Number shuffle_down(Number v, int by) {
  return __shfl_down_sync(kAllLanes, v, static_cast<unsigned>(by));
}

template <class T>
class Shared {
 public:
  SEGNAS_DEVICE explicit Shared(T *at) : at_(at) {}
  template <class Index>
  SEGNAS_DEVICE T &operator[](Index i) const {
    return at_[i];
  }
  template <class Index>
  SEGNAS_DEVICE Shared operator+(Index n) const {
    return Shared(at_ + n);
  }
  template <class U>
  SEGNAS_DEVICE Shared<U> as() const {
    return Shared<U>(reinterpret_cast<U *>(at_));
  }

 private:
  T *at_;
};

template <class T>
SEGNAS_DEVICE Shared<T> shared_memory(size_t byte_offset) {
  extern __shared__ __align__(128) unsigned char segnas_shared_bytes[];
  return Shared<T>(reinterpret_cast<T *>(segnas_shared_bytes + byte_offset));
}

template <class Index>
SEGNAS_DEVICE void shared_add(Shared<int> s, Index i, int v) {
  atomicAdd(&s[i], v);
}

SEGNAS_DEVICE float fused_multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
SEGNAS_DEVICE double fused_multiply_add(double a, double b, double c) { return __fma_rn(a, b, c); }
SEGNAS_DEVICE float square_root(float a) { return __fsqrt_rn(a); }
SEGNAS_DEVICE double square_root(double a) { return __dsqrt_rn(a); }
SEGNAS_DEVICE float exponential(float a) { return expf(a); }
SEGNAS_DEVICE float exponential2(float a) { return exp2f(a); }
SEGNAS_DEVICE float logarithm(float a) { return logf(a); }
SEGNAS_DEVICE float larger(float a, float b) { return fmaxf(a, b); }
SEGNAS_DEVICE float smaller(float a, float b) { return fminf(a, b); }
SEGNAS_DEVICE float round_even(float a) { return rintf(a); }
SEGNAS_DEVICE uint32_t bits_of(float a) { return __float_as_uint(a); }
SEGNAS_DEVICE int dot_bytes(uint32_t a, uint32_t b, int sum) {
  asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(a), "r"(b));  // of these signs there is no intrinsic
  return sum;
}
SEGNAS_DEVICE uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t which) { return __byte_perm(a, b, which); }

}  // namespace segnas::gpu
