//go:build !segnas_system

#include "contract.h"

#include "stamp.h"

#include "../csrc/core/buffer.cc"
#include "../csrc/core/context.cc"
#include "../csrc/core/cpu_features.cc"
#include "../csrc/core/interpolation.cc"
#include "../csrc/core/memory.cc"
#include "../csrc/core/plugin.cc"
#include "../csrc/core/status.cc"
#include "../csrc/core/thread_pool.cc"
#include "../csrc/core/view.cc"
#include "../csrc/isa/kernels.cc"
