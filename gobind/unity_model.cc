//go:build !segnas_system

#include "contract.h"

#include "../csrc/model/bfloat16.cc"
#include "../csrc/model/chain.cc"
#include "../csrc/model/float32.cc"
#include "../csrc/model/forms.cc"
#include "../csrc/model/integers.cc"
#include "../csrc/model/network.cc"
#include "../csrc/model/plan.cc"
#include "../csrc/model/session.cc"
#include "../csrc/model/steps.cc"
#include "../csrc/model/tiling.cc"
