//go:build !segnas_system

#include "../csrc/model/chain.cc"
#include "../csrc/model/plan.cc"
#include "../csrc/model/session.cc"
#include "../csrc/model/steps.cc"
#include "../csrc/model/tiling.cc"
