//go:build !segnas_system

#include "contract.h"

#include "../csrc/ops/conv3x3/conv3x3.cc"
