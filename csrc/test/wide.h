// The scalar vector type with 16 lanes: runs the tiles, tails and table entries of AVX-512 on any machine.
#pragma once
#include "../isa/kernels.h"

namespace segnas::wide {
extern const Kernels table;
}
