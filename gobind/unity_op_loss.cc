//go:build !segnas_system

#include "contract.h"

#include "../csrc/ops/loss/checks.cc"
#include "../csrc/ops/loss/distillation.cc"
#include "../csrc/ops/loss/loss.cc"
